"""One configured Pipedrive company: the parts put together. Makes no call."""

from typing import Final

from ml_connector.domain import Kind
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector_adapters.http import HttpClient, Limiter, Limits
from ml_connector_pipedrive.api import Api
from ml_connector_pipedrive.auth import api_base, api_hosts, api_key, oauth
from ml_connector_pipedrive.deal_lines import DealLines
from ml_connector_pipedrive.fitness import PipedriveFitness
from ml_connector_pipedrive.judge import judge
from ml_connector_pipedrive.lookup import Lookup
from ml_connector_pipedrive.metadata import Metadata
from ml_connector_pipedrive.notices import PipedriveNotices
from ml_connector_pipedrive.plan import KINDS
from ml_connector_pipedrive.reading import Codes, Reading
from ml_connector_pipedrive.settings import SEARCHES, SHARE, Settings
from ml_connector_pipedrive.sink import PipedriveSink
from ml_connector_pipedrive.source import PipedriveSource

_WINDOWS: Final = 30
"""Windows of two seconds in a minute."""


def connect(settings: Settings, host: Host) -> Connection:
    """All abilities share one client, its limits, and one memory of the company's fields."""
    limiter = Limiter(limits(settings), host.clock, where=host.connection)
    searches = Limits(requests_per_minute=_WINDOWS * (int(SEARCHES * SHARE) - 1), concurrency=1)
    client = HttpClient(
        host=host,
        base_url=api_base(settings),
        judge=judge(host.clock, settings.limits.reset_hour_utc),
        limiter=limiter,
        hosts=api_hosts(settings),
        oauth=oauth(settings, host),
    )
    api = Api(client, limiter, Limiter(searches, host.clock, where=host.connection), host.clock, api_key(settings, host))
    metadata = Metadata(api, settings, host.clock)
    reading = Reading(api, Codes(api, host.clock), settings.page_size)
    lookups = {kind: Lookup(api, settings) for kind in KINDS}
    lines = DealLines(api, metadata, lookups["product"], settings) if settings.lines else None
    sources: dict[Kind, Source] = {kind: PipedriveSource(kind, api, metadata, reading, settings) for kind in KINDS}
    sinks: dict[Kind, Sink] = {
        kind: PipedriveSink(kind, api, metadata, reading, lookups[kind], lines if kind == "deal" else None, settings)
        for kind in KINDS
    }
    return Connection(
        sources=sources,
        sinks=sinks,
        notices=PipedriveNotices(api, settings, host),
        fitness=PipedriveFitness(api, metadata, settings, limiter),
        close=api.close,
    )


def limits(settings: Settings) -> Limits:
    """The kit lets at most ``concurrency`` calls go at once and the rest at even intervals: together no more than the burst."""
    concurrency = min(settings.limits.concurrency, settings.burst - 1)
    budget = settings.tokens_per_day
    return Limits(
        requests_per_minute=_WINDOWS * (settings.burst - concurrency),
        concurrency=concurrency,
        credits_per_day=budget,
        credit_reserve=budget * settings.limits.reserve_percent // 100,
    )
