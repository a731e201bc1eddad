"""Where Dynamics 365 Sales joins in. Nothing heavy is imported before a connection is wanted."""

from typing import Final

from ml_connector.domain import Kind
from ml_connector.hookspecs import hookimpl
from ml_connector.system import Connection, Host, SystemSpec
from ml_connector.twin import Twin
from ml_connector_dynamics365_sales.settings import Settings


def _connect(settings: Settings, host: Host) -> Connection:
    from ml_connector_dynamics365_sales.adapters import connect

    return connect(settings, host)


def _twin() -> Twin:
    from ml_connector_dynamics365_sales.twin import DynamicsTwin

    return DynamicsTwin(erp_columns=True, servers=20)  # a large environment: whoever tries things out need not wait


KINDS: Final[tuple[Kind, ...]] = ("product", "price_list", "account", "contact", "quote", "order", "deal")

SPEC = SystemSpec(
    name="dynamics365-sales",
    title="Dynamics 365 Sales",
    settings=Settings,
    connect=_connect,
    reads=KINDS,
    writes=KINDS,
    notices=True,
    twin=_twin,
)


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    """Offer Dynamics 365 Sales."""
    return [SPEC]
