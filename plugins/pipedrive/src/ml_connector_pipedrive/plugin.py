"""Where Pipedrive joins in. Nothing heavy is imported before a connection is wanted."""

from typing import Final

from ml_connector.domain import Kind
from ml_connector.hookspecs import hookimpl
from ml_connector.system import Connection, Host, SystemSpec
from ml_connector.twin import Twin
from ml_connector_pipedrive.settings import Settings

KINDS: Final[tuple[Kind, ...]] = ("product", "account", "contact", "deal")


def _connect(settings: Settings, host: Host) -> Connection:
    from ml_connector_pipedrive.adapters import connect

    return connect(settings, host)


def _twin() -> Twin:
    from ml_connector_pipedrive.twin import PipedriveTwin

    return PipedriveTwin(plan="ultimate")  # whoever tries things out waits for Pipedrive as little as Pipedrive allows


SPEC = SystemSpec(
    name="pipedrive",
    title="Pipedrive",
    settings=Settings,
    connect=_connect,
    reads=KINDS,
    writes=KINDS,
    notices=True,
    twin=_twin,
)


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    """Offer Pipedrive."""
    return [SPEC]
