"""The command line. Each command imports what it needs when it runs, so that ``--help`` stays quick."""

from ml_connector_adapters.runner.cli.app import main

__all__ = ["main"]
