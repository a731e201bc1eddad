"""Receivables and credit of customers, read on their own: a party's own time does not move when its balance does.

Oracle, Financials REST: "Receivables Customer Account Activities" (totals in the ledger's currency, without naming it); "SOAP
Web Services for Financials": Customer Profile (limit and hold, one call per customer account). Which balances moved is seen by
sweeping the totals, a page of accounts a call; limits and holds leave no trace there and are read anew every ``full_every_h``.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from ml_connector.domain import Account, Extra, Money, Record, RemoteId, Scalar, Stub
from ml_connector.errors import ContractBroken
from ml_connector_oracle_fusion import mapping, wire
from ml_connector_oracle_fusion.api import MOST_PAGES, Api, Resource, ended
from ml_connector_oracle_fusion.customers import Customers, Profile
from ml_connector_oracle_fusion.reading import PartyReader
from ml_connector_oracle_fusion.wire import Vendor

ACTIVITIES: Final = Resource(
    root="fscm",
    name="receivablesCustomerAccountActivities",
    id="AccountId",
    own=(
        "AccountId",
        "AccountNumber",
        "CustomerId",
        "CustomerName",
        "TotalOpenReceivablesForAccount",
        "TotalTransactionsDueForAccount",
    ),
)


class Balance(msgspec.Struct, frozen=True):
    """All customer accounts of one party."""

    party: str
    rows: tuple[Vendor, ...]

    @property
    def version(self) -> str:
        """Another whenever a total, an account or the name is."""
        told = [[str(row.get(name)) for name in ACTIVITIES.own if name != "CustomerId"] for row in self.rows]
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:24]

    @property
    def number(self) -> str:
        """Of the oldest account, whose credit counts where there are several."""
        return str(self.rows[0]["AccountNumber"])

    def total(self, name: str) -> Decimal:
        return sum((wire.amount(row.get(name)) or Decimal(0) for row in self.rows), Decimal(0))


class Balances:
    """A Sweep of accounts that tells balances, limits and holds, and of the party no more than its number and name."""

    def __init__(self, api: Api, reader: PartyReader) -> None:
        self._api, self._reader, self._settings = api, reader, api.settings
        self._customers = Customers(api)

    @property
    def full_every(self) -> timedelta | None:
        return self._settings.full_every(self._settings.entities.account.full_every_h)

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        parties = [one for one in dict.fromkeys(ids) if one.isascii() and one.isdigit()]
        rows = await self._api.matching(ACTIVITIES, "CustomerId", parties)
        return await self._records(_grouped(sorted(rows, key=_order)))

    async def stubs(self, *, rows: bool) -> AsyncIterator[Sequence[Stub]]:
        """Balances by party; the record comes along where it takes no further call for each."""
        async for balances in self._sweep():
            records: dict[str, Record] = {}
            if rows and not self._settings.finance.credit:
                records = {record.id: record for record in await self._records(balances)}
            yield [Stub(id=each.party, version=each.version, record=records.get(each.party)) for each in balances]

    async def _sweep(self) -> AsyncIterator[list[Balance]]:
        """Every party with all of its accounts. The last party of a page may go on beyond it, so it is read again with the
        next."""
        size, since = self._settings.page_size, 0
        for _ in range(MOST_PAGES):
            listing = await self._api.page(
                ACTIVITIES, q=f"CustomerId >= {since}", orderBy="CustomerId:asc,AccountId:asc", limit=size
            )
            last = ended(listing, size) or not listing.items
            found = _grouped(listing.items)
            if not last and len(found) == 1:  # more accounts than a page holds
                party = found[0].party
                held = [row async for rows in self._api.walk(ACTIVITIES, f"CustomerId = {party}") for row in rows]
                yield _grouped(held)
                since = int(party) + 1
                continue
            if found[:-1] or last:
                yield found if last else found[:-1]
            if last:
                return
            since = int(found[-1].party)
        raise ContractBroken(f"{ACTIVITIES.name} has no end", where=self._api.where)

    async def _records(self, balances: Sequence[Balance]) -> list[Record]:
        if not balances:
            return []
        parties = {
            str(row["PartyId"]): row for row in await self._api.by_ids(self._reader.resource, [b.party for b in balances])
        }
        profiles: dict[str, Profile | None] = {}
        if self._settings.finance.credit:
            numbers = [each.number for each in balances]
            profiles = dict(
                zip(numbers, await asyncio.gather(*(self._customers.profile(number) for number in numbers)), strict=True)
            )
        return [self._record(each, parties.get(each.party), profiles) for each in balances]

    def _record(self, balance: Balance, party: Vendor | None, profiles: Mapping[str, Profile | None]) -> Record:
        finance = self._settings.finance
        extra: dict[str, Scalar] = {
            "ar_balance": balance.total("TotalOpenReceivablesForAccount"),
            "ar_due": balance.total("TotalTransactionsDueForAccount"),
            "ar_currency": finance.currency or None,
            "customer_account": balance.number,
        }
        if finance.as_of:
            extra["ar_as_of"] = self._api.clock.now()
        told: dict[str, object] = {"number": None, "name": balance.rows[0].get("CustomerName")}
        if party is not None:
            told = {"number": mapping.number_of(self._settings, party), "name": party.get("OrganizationName")}
            extra["party_number"] = str(party["PartyNumber"])
        profile = profiles.get(balance.number)
        if profile is not None:
            currency = profile.currency or finance.currency
            told["credit_limit"] = Money(profile.limit, currency) if profile.limit is not None else None
            told["credit_blocked"] = profile.hold
            told["payment_terms"] = profile.terms or None
        warnings: tuple[str, ...] = ()
        if len(balance.rows) > 1:
            warnings = (f"{len(balance.rows)} customer accounts: totals are of all, limit and hold of {balance.number}",)
        return Record(
            id=balance.party,
            entity=Account(**told, extra=Extra(extra)),  # type: ignore[arg-type]
            version=balance.version,
            warnings=warnings,
        )


def _order(row: Vendor) -> tuple[int, int]:
    return int(row["CustomerId"]), int(row["AccountId"])


def _grouped(rows: Sequence[Vendor]) -> list[Balance]:
    """Rows in the order of parties, one balance for each."""
    parties: dict[str, list[Vendor]] = {}
    for row in rows:
        parties.setdefault(str(row["CustomerId"]), []).append(row)
    return [Balance(party, tuple(own)) for party, own in parties.items()]
