"""Where Zoho CRM joins in. Nothing heavy is imported before a connection is wanted."""

from typing import Final

from ml_connector.domain import Kind
from ml_connector.hookspecs import hookimpl
from ml_connector.system import Connection, Host, SystemSpec
from ml_connector.twin import Twin
from ml_connector_zoho_crm.settings import Settings


def _connect(settings: Settings, host: Host) -> Connection:
    from ml_connector_zoho_crm.adapters import connect

    return connect(settings, host)


def _twin() -> Twin:
    from ml_connector_zoho_crm.twin import ZohoTwin

    twin = ZohoTwin()
    twin.keep_order_lines()
    return twin


KINDS: Final[tuple[Kind, ...]] = (
    "vendor",
    "product",
    "account",
    "contact",
    "quote",
    "order",
    "deal",
    "purchase_order",
    "invoice",
)

SPEC = SystemSpec(
    name="zoho-crm",
    title="Zoho CRM",
    settings=Settings,
    connect=_connect,
    reads=KINDS,
    writes=KINDS,
    notices=True,
    twin=_twin,
    recipes={},
)


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    """Offer Zoho CRM."""
    return [SPEC]
