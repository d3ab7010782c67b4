"""Contract tests: what the documentation of Salesforce promises, asked of any org by its address and credentials."""
