"""The hook: what this distribution connects to. Everything heavy is imported when a connection is made."""

from collections.abc import Mapping
from importlib.resources import files

from ml_connector import hookimpl
from ml_connector.system import Connection, Host, SystemSpec
from ml_connector.twin import Twin
from ml_connector_ifs_cloud.settings import IfsCloudSettings


def connect(settings: IfsCloudSettings, host: Host) -> Connection:
    from ml_connector_ifs_cloud import adapters

    return adapters.connect(settings, host)


def twin() -> Twin:
    from ml_connector_ifs_cloud.twin import IfsTwin

    return IfsTwin()


def recipes() -> Mapping[str, str]:
    """Other system's name → commented configuration, from recipes/*.toml."""
    folder = files("ml_connector_ifs_cloud") / "recipes"
    if not folder.is_dir():
        return {}
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8") for entry in found}


@hookimpl
def ml_connector_systems() -> list[SystemSpec]:
    return [
        SystemSpec(
            name="ifs-cloud",
            title="IFS Cloud",
            settings=IfsCloudSettings,
            connect=connect,
            reads=("account", "order", "quote", "deal", "product", "price_list"),
            writes=("account", "order", "quote", "deal"),
            twin=twin,
            recipes=recipes(),
        )
    ]
