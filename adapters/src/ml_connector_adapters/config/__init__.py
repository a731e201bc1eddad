"""The configuration file: found, read, checked in full, and turned into workspaces. Every mistake is told at once."""

from ml_connector_adapters.config.connections import ConnectionConfig
from ml_connector_adapters.config.file import Workspace, find, load
from ml_connector_adapters.config.schema import json_schema

__all__ = ["ConnectionConfig", "Workspace", "find", "json_schema", "load"]
