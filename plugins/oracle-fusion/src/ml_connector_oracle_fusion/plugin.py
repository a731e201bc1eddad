"""Where Oracle Fusion joins in. Everything heavy is imported when a connection is made."""

from typing import Final

from ml_connector.domain import Kind
from ml_connector.hookspecs import hookimpl
from ml_connector.system import Connection, Host, SystemSpec, recipes_in
from ml_connector.twin import Twin
from ml_connector_oracle_fusion.settings import Settings

READS: Final[tuple[Kind, ...]] = ("account", "contact", "vendor", "purchase_order", "invoice")
WRITES: Final[tuple[Kind, ...]] = ("account", "contact")


def _connect(settings: Settings, host: Host) -> Connection:
    from ml_connector_oracle_fusion.adapters import connect

    return connect(settings, host)


def _twin() -> Twin:
    from ml_connector_oracle_fusion.twin import OracleTwin

    return OracleTwin()


SPEC: Final = SystemSpec(
    name="oracle-fusion",
    title="Oracle Fusion Cloud ERP",
    settings=Settings,
    connect=_connect,
    reads=READS,
    writes=WRITES,
    twin=_twin,
    recipes=recipes_in("ml_connector_oracle_fusion"),
)


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    """Offer Oracle Fusion Cloud ERP."""
    return [SPEC]
