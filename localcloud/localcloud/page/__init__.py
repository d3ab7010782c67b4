"""The org's page: server-rendered HTML that shows what the org holds, says and was asked, and lets one click act."""
