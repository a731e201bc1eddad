"""Puts a connection together: one reader per kind, behind the port that its strategy can fulfil. Makes no call."""

from ml_connector.domain import Kind
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector_oracle_fusion.api import Api
from ml_connector_oracle_fusion.balances import Balances
from ml_connector_oracle_fusion.contact_rules import ContactRules
from ml_connector_oracle_fusion.document_reading import DocumentReader
from ml_connector_oracle_fusion.fitness import OracleFitness
from ml_connector_oracle_fusion.provision import Provisioning, Ready
from ml_connector_oracle_fusion.reading import PartyReader, Reader
from ml_connector_oracle_fusion.settings import Settings, Swept
from ml_connector_oracle_fusion.sink import PartySink
from ml_connector_oracle_fusion.source import Changes, Sweeping


def connect(settings: Settings, host: Host) -> Connection:
    """One pod. All kinds share one client and its limits."""
    api = Api(settings, host)
    entities = settings.entities
    ready = settings.provision == "finance_ready"
    accounts = PartyReader("account", api, Ready(api) if ready and settings.finance.verify != "none" else None)
    contacts = PartyReader("contact", api)
    sources: dict[Kind, Source] = {}
    provisioning = Provisioning(api, accounts) if ready else None
    sinks: dict[Kind, PartySink] = {
        "account": PartySink(api, accounts, provisioning=provisioning),
        "contact": PartySink(api, contacts, rules=ContactRules(api, contacts, accounts, provisioning)),
    }
    for reader, place in ((accounts, entities.account), (contacts, entities.contact)):
        if place.strategy == "changes":
            sources[reader.kind] = Changes(api, reader, deleted_code=place.deleted_code)
        elif place.strategy == "balances":
            sources[reader.kind] = Balances(api, reader)
        else:
            sources[reader.kind] = Sweeping(api, reader, settings.full_every(place.full_every_h))
    trade: tuple[tuple[Kind, Swept], ...] = (
        ("vendor", entities.vendor),
        ("purchase_order", entities.purchase_order),
        ("invoice", entities.invoice),
    )
    readers: dict[Kind, Reader] = {"account": accounts, "contact": contacts}
    for kind, swept in trade:
        readers[kind] = document = DocumentReader(kind, api)
        every = settings.full_every(swept.full_every_h)
        sources[kind] = Changes(api, document) if swept.strategy == "changes" else Sweeping(api, document, every)
    return Connection(sources=sources, sinks=sinks, fitness=OracleFitness(api, readers, sinks), close=api.aclose)
