"""One configured environment: the parts put together. Makes no call."""

from ml_connector.domain import Kind
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector_adapters.http import HttpClient, Limiter, Limits
from ml_connector_dynamics365_sales.api import Api
from ml_connector_dynamics365_sales.auth import api_hosts, oauth
from ml_connector_dynamics365_sales.fitness import DynamicsFitness
from ml_connector_dynamics365_sales.judge import judge_for
from ml_connector_dynamics365_sales.mapping import KINDS
from ml_connector_dynamics365_sales.metadata import Metadata
from ml_connector_dynamics365_sales.notices import DynamicsNotices
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.sink import DynamicsSink
from ml_connector_dynamics365_sales.source import DynamicsSource


def connect(settings: Settings, host: Host) -> Connection:
    """All abilities share one client, one limiter and one memory of the environment's metadata."""
    judge = judge_for(host.clock)
    limits = Limits(concurrency=settings.limits.concurrency, requests_per_minute=settings.limits.requests_per_minute)
    client = HttpClient(
        host=host,
        base_url=settings.org,
        judge=judge,
        limiter=Limiter(limits, host.clock, where=host.connection),
        hosts=api_hosts(settings),
        oauth=oauth(settings, host),
        timeout_s=150,  # longer than the two minutes after which Dataverse itself gives up: its word is better than none
    )
    api = Api(client, settings.api_version, judge)
    metadata = Metadata(api, settings, host.clock)
    sources: dict[Kind, Source] = {kind: DynamicsSource(kind, api, metadata, settings, host.clock) for kind in KINDS}
    sinks: dict[Kind, Sink] = {kind: DynamicsSink(kind, api, metadata, settings, host.clock) for kind in KINDS}
    return Connection(
        sources=sources,
        sinks=sinks,
        notices=DynamicsNotices(api, settings, host.clock, host.connection),
        fitness=DynamicsFitness(api, metadata, settings, host.clock),
        close=api.close,
    )
