"""Singer tap: every decision in a Salesforce org's history, one stream per history object."""
