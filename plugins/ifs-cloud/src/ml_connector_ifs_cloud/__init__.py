"""IFS Cloud for ml-connector."""
