"""Zoho CRM for ml-connector."""
