"""One verb a file. Each takes what it needs as arguments and reads top to bottom."""
