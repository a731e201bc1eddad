"""ml-connector's core: what plugin authors import. It needs the standard library, msgspec and pluggy, nothing else."""

from ml_connector.hookspecs import hookimpl
from ml_connector.system import API_VERSION, Connection, Host, SystemSpec

__all__ = ["API_VERSION", "Connection", "Host", "SystemSpec", "hookimpl"]
