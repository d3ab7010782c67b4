"""Deletes without topics: the delete log (getDeleted), the recycle bin (queryAll), and what to do about holes."""
