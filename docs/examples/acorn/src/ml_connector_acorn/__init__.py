"""Acorn, an invented CRM, for ml-connector: the example of docs/writing-a-plugin.md."""
