"""The hook and the settings. What is heavy is imported when a connection is made."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from ml_connector import Connection, Host, SystemSpec, hookimpl
from ml_connector.ports.secrets import Secret
from ml_connector.system import recipes_in
from ml_connector.twin import Twin


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Acorn account."""

    client_id: str
    client_secret: Secret
    base_url: str = "https://api.acorn.example"
    page_size: Annotated[int, Meta(ge=1, le=200)] = 200

    def __post_init__(self) -> None:
        if not urlsplit(self.base_url).hostname:
            raise ValueError(f'base_url: "{self.base_url}" is no address like https://api.acorn.example')


def connect(settings: Settings, host: Host) -> Connection:
    from ml_connector_acorn import adapters

    return adapters.connect(settings, host)


def twin() -> Twin:
    from ml_connector_acorn.twin import AcornTwin

    return AcornTwin()


SPEC = SystemSpec(
    name="acorn",
    title="Acorn",
    settings=Settings,
    connect=connect,
    reads=("account",),
    writes=("account",),
    twin=twin,
    recipes=recipes_in("ml_connector_acorn"),
)


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    return [SPEC]
