"""Where a plugin joins in. If it is not in this module, it is not an extension point."""

from typing import Final

import pluggy

from ml_connector.system import SystemSpec

PROJECT: Final = "ml_connector"  # also the entry-point group

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ml_connector_systems() -> list[SystemSpec]:  # type: ignore[empty-body]
    """List the systems this distribution connects to.

    Called once, when the program starts, before any configuration is read. Return the same value each time and do no I/O:
    a slow or failing plugin must not stop ``ml-connector systems`` from listing the others.
    """
