"""What an org holds and what its login user may read, before anything is loaded."""
