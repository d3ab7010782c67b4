"""An embedded stand-in for Snowflake: fakesnow with what target-snowflake needs beside it, in an env of its own."""
