"""Parties as records: shared by a kind's source and sink, so that both tell the same of a record."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from ml_connector.domain import Kind, Record, RemoteId, Scalar
from ml_connector_oracle_fusion import mapping, query
from ml_connector_oracle_fusion.api import Api, Resource
from ml_connector_oracle_fusion.wire import Vendor

REFERENCES: Final[dict[str, tuple[str, ...]]] = {
    "SourceSystemReference": ("SourceSystem", "SourceSystemReferenceValue", "Status")
}


class Reader(Protocol):
    """One kind's rows and what becomes of them."""

    @property
    def resource(self) -> Resource: ...

    @property
    def condition(self) -> str:
        """What limits every reading of the kind."""
        ...

    async def records(self, rows: Sequence[Vendor]) -> list[Record]: ...


class Readiness(Protocol):
    """What is told of parties beside their rows."""

    async def extras(self, parties: Sequence[str]) -> Mapping[str, Mapping[str, Scalar]]:
        """Party id → extras."""
        ...


class PartyReader:
    """Accounts or contacts."""

    def __init__(self, kind: Kind, api: Api, readiness: Readiness | None = None) -> None:
        self.kind, self._api, self._readiness = kind, api, readiness
        settings = api.settings
        custom = settings.custom_fields.get("account" if kind == "account" else "contact", {}).values()
        more = [*custom, *filter(None, [settings.reference_field])]
        name = "accounts" if kind == "account" else "contacts"
        own = tuple(dict.fromkeys([*mapping.ACCOUNT_ATTRIBUTES, *more])) if kind == "account" else ()
        kids = REFERENCES if kind == "account" and settings.read_references else {}
        self.resource = Resource(root="crm", name=name, id="PartyId", own=own, kids=kids)
        self.condition = settings.entities.account.filter if kind == "account" else settings.entities.contact.filter

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self.records(await self._api.by_ids(self.resource, ids))

    async def records(self, rows: Sequence[Vendor]) -> list[Record]:
        extras: Mapping[str, Mapping[str, Scalar]] = {}
        if self._readiness is not None and rows:
            extras = await self._readiness.extras([str(row["PartyId"]) for row in rows])
        settings = self._api.settings
        return [mapping.record_of(settings, self.kind, row, extras.get(str(row["PartyId"]), {})) for row in rows]

    async def holding(self, field: str, values: Sequence[str]) -> dict[str, list[Vendor]]:
        """Rows by the exact value of a canonical field, [] where there is none. References go first, party numbers second."""
        found: dict[str, list[Vendor]] = {value: [] for value in values}
        settings = self._api.settings
        if field != "number":
            named = {each.name: each.attribute for each in mapping.FIELDS[self.kind]}
            attribute = named.get(field)
            rows = await self._matching(attribute, values) if attribute is not None else []
            for row in rows:
                if (value := str(row.get(attribute or ""))) in found:
                    found[value].append(row)
            return found
        if settings.source_system:
            for row in await self._matching("SourceSystemReferenceValue", values):
                reference = mapping.reference_of(settings, row)
                if reference is not None and reference in found:
                    found[reference].append(row)
        elif settings.numbering == "field":
            for row in await self._matching(settings.reference_field, values):
                if (value := str(row.get(settings.reference_field))) in found:
                    found[value].append(row)
        numbers = [value for value in values if not found[value] and self.may_be_party_number(value)]
        for row in await self._matching("PartyNumber", numbers) if numbers else []:
            if str(row["PartyNumber"]) in found:
                found[str(row["PartyNumber"])].append(row)
        return found

    def may_be_party_number(self, value: str) -> bool:
        return self._api.settings.party_number.fullmatch(value) is not None

    async def _matching(self, attribute: str, values: Sequence[str]) -> list[Vendor]:
        return await self._api.matching(self.resource, attribute, [query.text(value) for value in values])
