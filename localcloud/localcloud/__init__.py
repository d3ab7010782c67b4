"""Salesforce and Snowflake on loopback: mock mode, demo and test bed."""
