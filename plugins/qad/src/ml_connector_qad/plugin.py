"""The hook: what this distribution connects to. Everything heavy is imported when a connection is made."""

from typing import Final

from msgspec import structs

from ml_connector import hookimpl
from ml_connector.system import Connection, Host, SystemSpec, recipes_in
from ml_connector.twin import Twin
from ml_connector_qad.settings import READS, WRITES, QadSettings


def connect(settings: QadSettings, host: Host) -> Connection:
    from ml_connector_qad import adapters

    return adapters.connect(settings, host)


def twin() -> Twin:
    """An installation as recipes meet it: one that numbers the sales orders that come without a number."""
    from ml_connector_qad.twin import QadTwin
    from ml_connector_qad.twin.installation import DEFAULT

    return QadTwin(installation=structs.replace(DEFAULT, numbers=True))


SPEC: Final = SystemSpec(
    name="qad",
    title="QAD Adaptive ERP",
    settings=QadSettings,
    connect=connect,
    reads=READS,
    writes=WRITES,
    twin=twin,
    recipes=recipes_in("ml_connector_qad"),
)


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    return [SPEC]
