"""Oracle Fusion Cloud ERP for ml-connector."""
