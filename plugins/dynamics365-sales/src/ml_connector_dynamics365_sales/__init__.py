"""Microsoft Dynamics 365 Sales for ml-connector."""
