"""Puts a connection together: one reader per kind, behind the port that its change strategy can fulfil."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from ml_connector.domain import Kind, Record, RemoteId, Stub
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector_ifs_cloud.account_sink import AccountSink
from ml_connector_ifs_cloud.accounts import AccountReader
from ml_connector_ifs_cloud.api import Api
from ml_connector_ifs_cloud.feeds import HistoryFeed, TimestampFeed
from ml_connector_ifs_cloud.fitness import IfsFitness
from ml_connector_ifs_cloud.kinds import Mapped
from ml_connector_ifs_cloud.mapped import MappedReader, MappedSink
from ml_connector_ifs_cloud.order_sink import OrderSink
from ml_connector_ifs_cloud.orders import OrderReader
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rights import Rights
from ml_connector_ifs_cloud.settings import IfsCloudSettings


class SweepSource:
    """Every key with its version; for what has no stamp of its last change, which in IFS is nearly everything."""

    def __init__(self, reader: Reader[Any, Any], rights: Rights) -> None:
        self._reader, self._rights = reader, rights

    @property
    def full_every(self) -> timedelta | None:
        hours = self._reader.place.full_every_h
        return timedelta(hours=hours) if hours else None

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self._reader.fetch(ids)

    async def stubs(self, *, rows: bool) -> AsyncGenerator[Sequence[Stub], None]:
        empty = True
        async with aclosing(self._reader.stubs(rows=rows)) as pages:
            async for page in pages:
                empty = empty and not page
                yield page
        if empty:
            await self._rights.vouch(self._reader)


def source_of(reader: Reader[Any, Any], rights: Rights) -> Source:
    """The source for the configured strategy."""
    match reader.place.change_strategy:
        case "timestamp":
            return TimestampFeed(reader)
        case "history_log":
            return HistoryFeed(reader)
        case _:
            return SweepSource(reader, rights)


def connect(settings: IfsCloudSettings, host: Host) -> Connection:
    """One environment of IFS Cloud. Makes no call."""
    api = Api(settings, host)
    accounts, orders = AccountReader(api, host.clock), OrderReader(api, host.clock)
    entities = settings.entities
    places: dict[Kind, Mapped] = {
        "quote": entities.quote,
        "deal": entities.deal,
        "product": entities.product,
        "price_list": entities.price_list,
    }
    mapped = {kind: MappedReader(kind, api, place, host.clock) for kind, place in places.items()}
    readers: dict[Kind, Reader[Any, Any]] = {"account": accounts, "order": orders, **mapped}
    sinks: dict[Kind, Sink] = {
        "account": AccountSink(api, accounts),
        "order": OrderSink(api, orders),
        "quote": MappedSink(api, mapped["quote"]),
        "deal": MappedSink(api, mapped["deal"]),
    }
    rights = Rights(api, readers.values())
    return Connection(
        sources={kind: source_of(reader, rights) for kind, reader in readers.items()},
        sinks=sinks,
        fitness=IfsFitness(api, readers, sinks, rights),
        close=api.aclose,
    )
