"""Customers: the header row, and children that hang on navigations of one customer at a time."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from ml_connector.domain import Record, RemoteId, Stub
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud import mapping
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.errors import NotFound, NotServed
from ml_connector_ifs_cloud.kinds import Child
from ml_connector_ifs_cloud.mapping import SALES_EXTRAS, Children, Located
from ml_connector_ifs_cloud.paging import Query
from ml_connector_ifs_cloud.places import Field
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import (
    AddressType,
    CommMethod,
    CreditInfo,
    Customer,
    CustomerAddress,
    CustomerKey,
    InvoiceCompany,
    Row,
    SalesCustomer,
    decoder_of,
)
from ml_connector_ifs_cloud.tasks import together
from ml_connector_ifs_cloud.versions import content_version

R = TypeVar("R", bound=Row)

ROW_OF: dict[Child, tuple[type[Row], tuple[Field, ...]]] = {
    "addresses": (CustomerAddress, (Field(name="AddressId"),)),
    "comm_methods": (CommMethod, (Field(name="CommId", edm="decimal"),)),
    "sales": (SalesCustomer, (Field(name="CustomerNo"),)),
    "credit": (CreditInfo, (Field(name="Company"),)),
    "invoice": (InvoiceCompany, (Field(name="Company"),)),
}
"""Row type and sort order within one customer, by child collection."""


_FILLS: Final = frozenset(
    (
        "number", "name", "category", "tax_id", "phone", "fax", "email", "website", "language", "currency", "billing",
        "shipping", "credit_limit", "credit_blocked", "payment_terms",
    )
)  # fmt: skip


class AccountReader(Reader[Customer, CustomerKey]):
    """Customers of the configured categories."""

    kind = "account"
    group = 60  # each customer costs a few calls of its own: hand on what is read before a page is through

    def __init__(self, api: Api, clock: Clock) -> None:
        self.accounts = api.settings.entities.account
        super().__init__(api, self.accounts, Customer, CustomerKey, clock)
        self._decoders = {child: decoder_of(row) for child, (row, _) in ROW_OF.items()}
        self._types = decoder_of(AddressType)

    @property
    def fills(self) -> frozenset[str]:
        sales = SALES_EXTRAS if "sales" in self.api.settings.children else {}
        return _FILLS | {f"extra.{name}" for name in (*self.rules.extras, *sales)}

    @property
    def reads_all(self) -> bool:
        return self.by_content or self.accounts.sweep_children == "always"

    def scope(self, found: EntitySet) -> str:
        told = self.accounts.categories
        if not self.accounts.category_enum:
            return odata.one_of("CustomerCategory", told) if told else ""
        literals = (found.enum(self.accounts.category_enum, category) for category in told)
        return odata.either(*(f"CustomerCategory eq {literal}" for literal in literals))

    async def versions(self, rows: Sequence[CustomerKey]) -> list[Stub]:
        return [Stub(id=self.id_of(row), version=self.etag_of(row)) for row in rows]

    async def records(self, rows: Sequence[Customer]) -> list[Record]:
        return await self.scattered(rows)

    async def scattered(self, rows: Sequence[Customer]) -> list[Record]:
        found = await self.api.place(self.place)
        sales = await self._sales(found, [self.id_of(row) for row in rows])
        return await together(self._record(found, row, sales) for row in rows)

    async def _record(self, found: EntitySet, row: Customer, sales: dict[RemoteId, SalesCustomer] | None) -> Record:
        number = self.id_of(row)
        reading = _Reading(self, found, number)
        children = await reading.children(self.api.settings.children - ({"sales"} if sales is not None else set()))
        if sales is not None:
            children = msgspec.structs.replace(children, sales=[sales[number]] if number in sales else [])
        today = self.rules.time.today(self.clock.now())
        entity, warnings = mapping.account(row, children, self.rules, today)
        if self.by_content:
            version = content_version(row.etag, entity, "content")
        elif self.accounts.sweep_children == "always":
            version = content_version(self.etag_of(row), entity, "children")
        else:
            version = self.etag_of(row)
        others = [other.etag for other in (*reading.seen, *(children.sales or ()))]
        return Record(
            id=number,
            entity=entity,
            version=version,
            changed_at=self.changed_at(row, others),
            warnings=(*warnings, *reading.warnings),
        )

    async def beside(self, found: EntitySet, number: RemoteId, wanted: Collection[Child]) -> tuple[Children, Sequence[str]]:
        """Some of the child collections of one customer, and what could not be read of them."""
        sales = await self._sales(found, [number]) if "sales" in wanted else None
        reading = _Reading(self, found, number)
        children = await reading.children(set(wanted) - ({"sales"} if sales is not None else set()))
        if sales is not None:
            children = msgspec.structs.replace(children, sales=[sales[number]] if number in sales else [])
        return children, reading.warnings

    async def types_of(self, found: EntitySet, number: RemoteId, row: CustomerAddress) -> Sequence[AddressType]:
        """What one address is for."""
        path = f"{await self.child_path(found, number, 'addresses', row)}/AddressTypes"
        return await self.api.all(Query(path=path, decoder=self._types, order=(Field(name="AddressTypeCode"),)))

    async def child_path(self, found: EntitySet, number: RemoteId, child: Child, row: Any = None) -> str:
        """Where a child collection of a customer is, or one row of it."""
        key = self.api.key_of(self.place.key, number)[self.place.key.name]
        if child == "sales" and (flat := await self._flat_sales(found)) is not None:
            return flat.path if row is None else flat.path + odata.key(CustomerNo=key)
        path = f"{self.api.entity_path(found, self.place.key, number)}/{self.accounts.child_paths[child]}"
        if row is None:
            return path
        match child:
            case "addresses":
                return path + odata.key(CustomerId=key, AddressId=row.AddressId)
            case "comm_methods":
                return path + odata.key(PartyType="Customer", Identity=key, CommId=row.CommId)
            case "sales":
                return path + odata.key(CustomerNo=key)
            case "credit" | "invoice":
                return path + odata.key(Company=row.Company, Identity=key)

    async def type_path(self, found: EntitySet, number: RemoteId, row: CustomerAddress, kind: AddressType) -> str:
        """Where one use of one address is."""
        key = self.api.key_of(self.place.key, number)[self.place.key.name]
        own = odata.key(CustomerId=key, AddressId=row.AddressId, AddressTypeCode=kind.AddressTypeCode)
        return f"{await self.child_path(found, number, 'addresses', row)}/AddressTypes{own}"

    async def _flat_sales(self, found: EntitySet) -> EntitySet | None:
        if self.accounts.sales_set is None:
            return None
        return await self.api.first_served([EntitySet(found.service, self.accounts.sales_set)], "CustomerNo")

    async def _sales(self, found: EntitySet, ids: Sequence[RemoteId]) -> dict[RemoteId, SalesCustomer] | None:
        """Sales settings of many customers at once; None where they are not read or the flat set is not served."""
        flat = await self._flat_sales(found) if "sales" in self.api.settings.children else None
        if flat is None:
            return None
        order = Field(name="CustomerNo", edm=self.place.key.edm)
        query: Query[Any] = Query(path=flat.path, decoder=self._decoders["sales"], order=(order,))
        return {str(row.CustomerNo): row for row in await self.api.by_keys(query, order, ids)}


class _Reading:
    """The children of one customer as they come in."""

    def __init__(self, reader: AccountReader, found: EntitySet, number: RemoteId) -> None:
        self._reader, self._api, self._number = reader, reader.api, number
        self._path = self._api.entity_path(found, reader.place.key, number)
        self.seen: list[Row] = []
        self.warnings: list[str] = []

    async def children(self, which: Iterable[Child]) -> Children:
        """These collections at once; one that cannot be read stays unread and is told in a warning."""
        wanted = sorted(which)
        read: dict[str, Any] = dict(zip(wanted, await together(self._child(child) for child in wanted), strict=True))
        if read.get("addresses") is not None:
            read["addresses"] = await together(self._located(row, len(read["addresses"])) for row in read["addresses"])
        return Children(**read)

    async def _child(self, child: Child) -> list[Any] | None:
        path = f"{self._path}/{self._reader.accounts.child_paths[child]}"
        return await self._all(path, child, Query(path=path, decoder=self._reader._decoders[child], order=ROW_OF[child][1]))

    async def _located(self, row: CustomerAddress, count: int) -> Located:
        """The only address serves for everything, so that its types need no call."""
        if count == 1:
            return Located(row)
        key = odata.key(**self._api.key_of(self._reader.place.key, self._number), AddressId=row.AddressId)
        path = f"{self._path}/{self._reader.accounts.child_paths['addresses']}{key}/AddressTypes"
        types = await self._all(
            path, "address types", Query(path=path, decoder=self._reader._types, order=(Field(name="AddressTypeCode"),))
        )
        return Located(row, types or ())

    async def _all(self, path: str, what: str, query: Query[Any]) -> list[Any] | None:
        try:
            rows = await self._api.all(query)
        except NotServed:
            raise
        except ContractBroken as error:
            if "%2F" not in path and not isinstance(error, NotFound):
                raise
            self.warnings.append(f"{what} could not be read, their fields are left alone: {error.what}")
            return None
        self.seen += rows
        return rows
