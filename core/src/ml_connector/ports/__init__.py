"""What the core asks of the world. Adapters fulfil these protocols; the contract tests say whether they do."""
