"""``python -m ml_connector_adapters.runner.cli`` is ``ml-connector``."""

from ml_connector_adapters.runner.cli.app import main

main()
