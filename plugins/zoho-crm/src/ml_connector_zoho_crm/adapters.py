"""One configured Zoho organisation: the parts put together. Makes no call."""

from ml_connector.domain import Kind
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector_adapters.http import HttpClient, Limiter, Limits
from ml_connector_zoho_crm.api import Api
from ml_connector_zoho_crm.auth import api_base, api_hosts, oauth
from ml_connector_zoho_crm.fitness import ZohoFitness
from ml_connector_zoho_crm.judge import judge
from ml_connector_zoho_crm.mapping import MODULES
from ml_connector_zoho_crm.metadata import Metadata
from ml_connector_zoho_crm.notices import ZohoNotices
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.sink import ZohoSink
from ml_connector_zoho_crm.source import ZohoSource


def connect(settings: Settings, host: Host) -> Connection:
    """All abilities share one client, one limiter and one memory of the organisation's metadata.

    Only sources ask as those who can wait: what a sink looks up before it writes is part of the write.
    """
    calls = settings.limits
    limits = Limits(
        concurrency=calls.concurrency,
        heavy_concurrency=min(calls.heavy_concurrency, calls.concurrency),
        credits_per_day=calls.credits_per_day,
        credit_reserve=calls.credit_reserve,
    )
    limiter = Limiter(limits, host.clock, where=host.connection)
    client = HttpClient(
        host=host,
        base_url=api_base(settings),
        judge=judge,
        limiter=limiter,
        hosts=api_hosts(settings),
        oauth=oauth(settings, host),
    )
    api = Api(client, limiter, settings.api_version, settings.trigger, essential=True)
    reads = Api(client, limiter, settings.api_version)
    metadata = Metadata(api, settings, host.clock)
    sources: dict[Kind, Source] = {kind: ZohoSource(kind, reads, metadata, settings, host.clock) for kind in MODULES}
    sinks: dict[Kind, Sink] = {kind: ZohoSink(kind, api, metadata, settings) for kind in MODULES}
    return Connection(
        sources=sources,
        sinks=sinks,
        notices=ZohoNotices(api, metadata, host.clock, host.connection, settings.channel_ttl),
        fitness=ZohoFitness(api, metadata, settings, limiter, host.clock),
        close=api.close,
    )
