"""Writing customers: the row itself, then what hangs on it, each compared with what stands there.

Creating and updating are one thing: bring about what the entity says. A create merely begins with the row, under the number
that the flow gives or that IFS takes from its series, and goes on as an update does.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from ml_connector.domain import UNSET, Account, Address, Money, RemoteId, Version
from ml_connector.errors import AnswerLost, RecordRejected
from ml_connector.ports.sink import Key, Written
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud import mapping, payload
from ml_connector_ifs_cloud.accounts import AccountReader
from ml_connector_ifs_cloud.address_steps import AddressSteps
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.errors import NotFound
from ml_connector_ifs_cloud.kinds import Child
from ml_connector_ifs_cloud.mapping import SALES_EXTRAS, Children
from ml_connector_ifs_cloud.rows import Customer, InvoiceCompany, Row, row_decoder
from ml_connector_ifs_cloud.sinking import IfsSink, Moved, Steps, told
from ml_connector_ifs_cloud.versions import header_etag

FIELDS: Final[dict[Child, tuple[str, ...]]] = {
    "sales": ("currency",),
    "invoice": ("payment_terms",),
    "credit": ("credit_limit", "credit_blocked"),
    "addresses": ("billing", "shipping"),
    "comm_methods": ("phone", "fax", "email", "website"),
}
"""Fields that each child collection holds."""
_BARE: Final[frozenset[Child]] = frozenset(("addresses", "comm_methods"))
"""Children that a customer does not have yet when IFS has just answered that it was created."""
_country: Final = msgspec.json.Decoder(dict[str, Any])
_BLAMED: Final = {
    prop.upper(): field
    for field, prop in {
        **payload.ACCOUNT,
        "number": "CustomerId",
        "category": "CustomerCategory",
        "billing.country": "Country",
        "currency": "CurrencyCode",
        "payment_terms": "PayTermId",
        "credit_limit": "CreditLimit",
    }.items()
}


class AccountSink(IfsSink[AccountReader, Customer]):
    """A Sink of customers."""

    def __init__(self, api: Api, reader: AccountReader) -> None:
        super().__init__(api, reader)
        self._accounts, self._company = reader.accounts, api.settings.credit_company
        self._row = row_decoder(reader.header)
        self._countries = dict(self._accounts.countries)

    async def accepts(self) -> frozenset[str]:
        """What stands on the customer itself, and what the child collections that are read can hold."""
        children = self.api.settings.children
        fields = {"number", *payload.ACCOUNT, *(name for child in children for name in FIELDS[child])}
        extras = {*self.rules.extras, *(SALES_EXTRAS if "sales" in children else ())}
        category = {"category"} if self._accounts.category_action is not None else set()
        return frozenset(fields | category | {f"extra.{name}" for name in extras})

    def field_of(self, key: str) -> str | None:
        if key == "number":
            return self.reader.place.key.name
        return self.rules.extras.get(key.removeprefix("extra.")) if key.startswith("extra.") else payload.ACCOUNT.get(key)

    def blamed(self, name: str) -> str:
        return _BLAMED.get(name, name)

    async def create(self, steps: Steps, key: Key, entity: Account) -> Written:
        found = await self.api.place(self.reader.place)
        row = await self.known(key)
        if row is None:
            row = await self._begin(steps, found, key, entity)
            return await self._bring_about(steps, found, row, entity, created=True)
        return await self._bring_about(steps, found, row, msgspec.structs.replace(entity, number=UNSET), created=False)

    async def update(self, steps: Steps, number: RemoteId, changes: Account, version: Version | None) -> Written:
        found = await self.api.place(self.reader.place)
        if version is not None and (values := self._of_the_row(number, changes)):
            return await self._changed(steps, found, number, values, version)
        row = await self._standing(found, number, version)
        if changes.number not in (UNSET, number) and self._accounts.numbers == "given":
            raise RecordRejected("IFS never gives a customer another number", code="RENUMBERED", field="number")
        return await self._bring_about(steps, found, row, changes, created=False)

    def _of_the_row(self, number: RemoteId, changes: Account) -> payload.Values:
        """What a change sets on the customer's own row; nothing where it sets more than that.

        The flow tells what differs from the version that it saw, and the ETag guards the row: nobody need look first.
        """
        more = any(told(changes, *names) for names in (*FIELDS.values(), ("category",)))
        renumbered = changes.number not in (UNSET, number)
        if more or renumbered or self.reader.reads_all or payload.sales(changes, self.rules):
            return {}
        return payload.account(changes, self.rules)

    async def _changed(
        self, steps: Steps, found: EntitySet, number: RemoteId, values: payload.Values, version: Version
    ) -> Written:
        """One PATCH. IFS refuses it where the row is no longer what was seen."""
        try:
            etag = await steps.patch(self.api.entity_path(found, self.reader.place.key, number), header_etag(version), values)
        except NotFound:
            raise Moved(None) from None
        return await self._written(number, etag, created=False)

    async def remove(self, steps: Steps, number: RemoteId, version: Version | None) -> Written:
        """Bar the customer from new orders. One without sales settings is barred as it is."""
        if self._accounts.retire == "refuse":
            raise RecordRejected('customers are not taken out of use (retire = "refuse")', code="NO_RETIREMENT")
        found = await self.api.place(self.reader.place)
        row = await self._standing(found, number, version)
        children = await self._beside(found, number, {"sales"})
        for settings in children.sales or ():
            await steps.patch(await self.reader.child_path(found, number, "sales", settings), settings.etag, {"CrStop": True})
        return await self._written(number, row.etag if not steps.done else None, created=False)

    # The row itself

    async def _begin(self, steps: Steps, found: EntitySet, key: Key, entity: Account) -> Customer:
        if key.field == "number" and self._accounts.numbers == "assigned":
            raise RecordRejected(
                f'IFS numbers its customers itself (numbers = "assigned"), so a new one cannot be known by number {key.value}',
                code="NO_KEY",
                field="number",
                fix='Match by another field, such as match = ["tax_id"] or ["name"]',
            )
        body = {**self._accounts.create_defaults, **payload.account(entity, self.rules), **await self._country(found, entity)}
        body["CreationDate"] = self.rules.time.today(self.reader.clock.now()).isoformat()
        if isinstance(entity.category, str) and entity.category:
            body["CustomerCategory"] = entity.category
        number = entity.number or (key.value if key.field == "number" else None)
        if number and self._accounts.numbers == "given":
            body[self.reader.place.key.name] = number
        answer = await steps.post(found.path, body)
        row = answer.decode(self._row) if answer.body else await self.known(key)
        if row is None:
            raise AnswerLost("IFS did not say which number the new customer has")
        return row

    async def _country(self, found: EntitySet, entity: Account) -> dict[str, str]:
        """Name and code, both of which IFS wants on a new customer; nothing where create_defaults shall say them."""
        code = next(
            (place.country for place in (entity.billing, entity.shipping) if isinstance(place, Address) and place.country), None
        )
        if not isinstance(code, str):
            return {}
        if code not in self._countries:
            self._countries[code] = await self._country_name(found, code)
        return {"Country": self._countries[code], "CountryCode": code}

    async def _country_name(self, found: EntitySet, code: str) -> str:
        accounts = self._accounts
        row = None
        if accounts.country_set is not None and len(code) == 2:
            path = EntitySet(found.service, accounts.country_set).path + odata.key(Id=code)
            row = await self.api.row(path, _country)
        if row is None or not isinstance(row.get(accounts.country_name), str):
            raise RecordRejected(
                f'IFS was asked for the country "{code}" and knows none',
                code="COUNTRY",
                field="billing.country",
                fix=f'Give the ISO code, or name it: entities.account.countries = {{ "{code}" = "…" }}',
            )
        return str(row[accounts.country_name])

    async def _standing(self, found: EntitySet, number: RemoteId, version: Version | None) -> Customer:
        """The customer as it stands. Raises Moved where it is gone or not of this version."""
        if self.reader.reads_all:
            records = await self.reader.fetch([number])
            current = records[0].version if records else None
            if current is None or version not in (None, current):
                raise Moved(current)
        rows = await self.rows(self.reader.place.key.name, number)
        if not rows:
            raise Moved(None)
        if not self.reader.reads_all and version is not None and header_etag(version) != rows[0].etag:
            raise Moved(rows[0].etag)
        return rows[0]

    # The row and what hangs on it

    async def _bring_about(self, steps: Steps, found: EntitySet, row: Customer, entity: Account, *, created: bool) -> Written:
        number = self.reader.id_of(row)
        etag = row.etag
        if changed := payload.differing(payload.account(entity, self.rules), row):
            etag = await steps.patch(self.api.entity_path(found, self.reader.place.key, number), etag, changed)
        before = steps.done
        settings = payload.sales(entity, self.rules)
        wanted: set[Child] = {
            child for child in self.api.settings.children if told(entity, *FIELDS[child]) or (child == "sales" and settings)
        }
        if "credit" in wanted:
            wanted |= self.api.settings.children & {"invoice"}  # says which currency the limit is in
        if wanted:
            children = await self._beside(found, number, wanted - _BARE if created else wanted)
            if "sales" in wanted:
                defaults = {"CustomerNo": number, **self._accounts.sales_defaults}
                there = next(iter(children.sales or ()), None)
                await self._put(steps, found, number, "sales", there, settings, defaults)
            if "invoice" in wanted or "credit" in wanted:
                await self._terms(steps, found, number, children, entity)
            if "addresses" in wanted:
                await AddressSteps(steps, self.reader, found, row, children.addresses or ()).bring_about(entity)
            if "comm_methods" in wanted:
                await self._ways(steps, found, number, children, entity)
        action = self._accounts.category_action
        if isinstance(entity.category, str) and entity.category != row.CustomerCategory and action is not None:
            await steps.call(found.service, action.filled(number=number, category=entity.category))
        return await self._written(number, etag if steps.done == before else None, created=created)

    async def _written(self, number: RemoteId, etag: str | None, *, created: bool) -> Written:
        """With the version that a read would now show; ``etag`` is the row's, None where it may have another by now."""
        version = etag
        if self.reader.reads_all:
            records = await self.reader.fetch([number])
            version = records[0].version if records else None
        elif etag is None:
            rows = await self.rows(self.reader.place.key.name, number)
            version = rows[0].etag if rows else None
        return Written(id=number, version=version, created=created)

    async def _beside(self, found: EntitySet, number: RemoteId, wanted: Collection[Child]) -> Children:
        """The children that are asked for. Raises RecordRejected where one cannot be read, and so not compared."""
        children, unread = await self.reader.beside(found, number, wanted)
        if unread:
            raise RecordRejected("; ".join(unread), code="UNREAD")
        return children

    async def _put(
        self,
        steps: Steps,
        found: EntitySet,
        number: RemoteId,
        child: Child,
        row: Row | None,
        values: payload.Values,
        defaults: Mapping[str, Any],
    ) -> None:
        """Change the row where it differs, or make it with the defaults where there is none and something to hold."""
        if row is not None:
            if changed := payload.differing(values, row):
                await steps.patch(await self.reader.child_path(found, number, child, row), row.etag, changed)
        elif any(value is not None for value in values.values()):
            body = {name: value for name, value in {**defaults, **values}.items() if value is not None}
            await steps.post(await self.reader.child_path(found, number, child), body)

    async def _terms(self, steps: Steps, found: EntitySet, number: RemoteId, children: Children, entity: Account) -> None:
        """Payment terms and credit of the one company that counts."""
        of_company = {"Company": self._company}
        limit = entity.credit_limit
        invoice = mapping.of_company(children.invoice, self._company)
        currency = entity.currency or (limit.currency if isinstance(limit, Money) else None)
        if isinstance(limit, Money) and isinstance(invoice, InvoiceCompany) and limit.currency:
            theirs = invoice.DefCurrency
            if theirs and theirs != limit.currency:
                raise RecordRejected(
                    f"the limit is in {limit.currency}, company {self._company} keeps the customer's in {theirs}",
                    code="CURRENCY",
                    field="credit_limit",
                    fix="Convert the amount in the flow, or leave the field out",
                )
        if children.invoice is not None:
            terms: payload.Values = {} if entity.payment_terms is UNSET else {"PayTermId": entity.payment_terms or None}
            if currency and (invoice is None or invoice is UNSET or not invoice.DefCurrency):
                terms["DefCurrency"] = currency
            await self._put(steps, found, number, "invoice", invoice or None, terms, of_company)
        if children.credit is not None:
            credit = mapping.of_company(children.credit, self._company)
            await self._put(steps, found, number, "credit", credit or None, payload.credit(entity), of_company)

    async def _ways(self, steps: Steps, found: EntitySet, number: RemoteId, children: Children, entity: Account) -> None:
        """Phone, fax, email and website. Where one is emptied, the number that was read as it is deleted."""
        for name, ids in self.rules.methods.items():
            value = getattr(entity, name)
            if value is UNSET:
                continue
            row = mapping.way_to_reach(children.comm_methods or (), ids)
            if row is not None and not value:
                await steps.delete(await self.reader.child_path(found, number, "comm_methods", row), row.etag)
            else:
                defaults = {"MethodId": ids[0], "MethodDefault": True}
                await self._put(steps, found, number, "comm_methods", row, {"Value": value or None}, defaults)
