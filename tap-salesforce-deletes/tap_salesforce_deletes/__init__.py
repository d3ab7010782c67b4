"""Singer tap: every delete in a Salesforce org with who did it, from the Pub/Sub API and the delete log."""
