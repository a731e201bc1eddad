"""ml-connector's core: what plugin authors import. It needs the standard library, msgspec and pluggy, nothing else.

The names are looked up when they are first used, so that whoever only wants ``ml_connector.errors`` does not pay for pluggy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_connector.hookspecs import hookimpl
    from ml_connector.system import API_VERSION, Connection, Host, SystemSpec

__all__ = ["API_VERSION", "Connection", "Host", "SystemSpec", "hookimpl"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'hookspecs' if name == 'hookimpl' else 'system'}"), name)
