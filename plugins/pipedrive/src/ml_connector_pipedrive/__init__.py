"""Pipedrive for ml-connector."""
