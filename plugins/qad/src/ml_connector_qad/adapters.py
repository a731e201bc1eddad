"""Puts a connection together: one reader per kind over one client, and sinks for what is written."""

from ml_connector.domain import Kind
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector_qad.account_sink import AccountSink
from ml_connector_qad.api import Api
from ml_connector_qad.billing import Billing
from ml_connector_qad.browse import Browser
from ml_connector_qad.feed import ModifiedFeed
from ml_connector_qad.fitness import QadFitness
from ml_connector_qad.lines import LineReader
from ml_connector_qad.order_sink import OrderSink
from ml_connector_qad.reading import Reader
from ml_connector_qad.receipts import Gate
from ml_connector_qad.settings import READS, QadSettings


def connect(settings: QadSettings, host: Host) -> Connection:
    """One domain of one QAD installation. Makes no call."""
    api = Api(settings, host)
    browser, entities = Browser(api), settings.entities
    purchases, sales = entities.purchase_order, entities.order
    lines = {
        "purchase_order": LineReader(api, purchases.component, purchases.lines),
        "order": LineReader(api, sales.component, sales.lines),
    }
    gate = Gate(api, browser, LineReader(api, purchases.component, purchases.lines), entities.invoice)
    readers: dict[Kind, Reader] = {
        kind: Reader(kind, api, browser, lines.get(kind), gate if kind == "invoice" else None) for kind in READS
    }
    if purchases.invoice_status:
        invoices = readers["invoice"]
        readers["purchase_order"].billing = Billing(api, browser, invoices.map, invoices.listing, gate)
    accounts = AccountSink(api, readers["account"])
    sinks: dict[Kind, Sink] = {
        "account": accounts,
        "order": OrderSink(api, readers["order"], accounts.domain_data),
    }
    sources: dict[Kind, Source] = {
        kind: ModifiedFeed(reader) if reader.place.change_strategy == "modified" else reader
        for kind, reader in readers.items()
        if reader.place.enabled is not False
    }
    return Connection(sources=sources, sinks=sinks, fitness=QadFitness(api, readers, sinks), close=api.aclose)
