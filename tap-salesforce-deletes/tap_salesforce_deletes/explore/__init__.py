"""What the org's topics, permissions and allowances let this tap read, before anything is read."""
