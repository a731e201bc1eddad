"""The hook: what this distribution connects to. Everything heavy is imported when a connection is made."""

from ml_connector import hookimpl
from ml_connector.system import Connection, Host, SystemSpec, recipes_in
from ml_connector.twin import Twin
from ml_connector_ifs_cloud.settings import IfsCloudSettings


def connect(settings: IfsCloudSettings, host: Host) -> Connection:
    from ml_connector_ifs_cloud import adapters

    return adapters.connect(settings, host)


def twin() -> Twin:
    from ml_connector_ifs_cloud.twin import IfsTwin

    return IfsTwin()


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
            recipes=recipes_in("ml_connector_ifs_cloud"),
        )
    ]
