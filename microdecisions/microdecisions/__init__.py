"""Salesforce micro-decisions: the event, login, HTTP and the Singer page writer that the plugins share."""
