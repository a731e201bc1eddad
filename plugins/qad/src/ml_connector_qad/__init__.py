"""QAD Adaptive ERP for ml-connector."""
