"""Writing the billing and the shipping address of a customer, which in IFS are addresses with types.

Types say what an address is for, and one address may serve for both; it is then split when only one of the two changes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Account, Address
from ml_connector.errors import AnswerLost, RecordRejected
from ml_connector_ifs_cloud import mapping, payload
from ml_connector_ifs_cloud.accounts import AccountReader
from ml_connector_ifs_cloud.api import EntitySet
from ml_connector_ifs_cloud.mapping import Located
from ml_connector_ifs_cloud.rows import AddressType, Customer, CustomerAddress
from ml_connector_ifs_cloud.sinking import Steps

Use: TypeAlias = Literal["billing", "shipping"]

_OTHER: Final[dict[Use, Use]] = {"billing": "shipping", "shipping": "billing"}
_row: Final = msgspec.json.Decoder(CustomerAddress)


class AddressSteps:
    """The steps for one customer; ``located`` are its addresses as they stand."""

    def __init__(
        self, steps: Steps, reader: AccountReader, found: EntitySet, row: Customer, located: Sequence[Located]
    ) -> None:
        self._steps, self._reader, self._found, self._row = steps, reader, found, row
        self._number = reader.id_of(row)
        self._located = list(located)
        self._today = reader.rules.time.today(reader.clock.now())

    async def bring_about(self, entity: Account) -> None:
        uses = [use for use in _OTHER if getattr(entity, use) is not UNSET]
        for use in uses:
            wanted: Address | None = getattr(entity, use)
            serving, other = self._serving(use), self._serving(_OTHER[use])
            shared = serving is not None and serving is other and getattr(entity, _OTHER[use]) != wanted
            if wanted is None:
                await self._expire(use, serving, shared=shared)
            else:
                await self._place(use, wanted, serving, shared=shared)
            if use != uses[-1]:  # the next one looks at what stands now
                children, _ = await self._reader.beside(self._found, self._number, {"addresses"})
                self._located = list(children.addresses or ())

    async def _place(self, use: Use, wanted: Address, serving: Located | None, *, shared: bool) -> None:
        now = mapping.postal(self._row, serving.row) if serving is not None else Address()
        fields = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        moved = {name: value for name, value in fields.items() if not _same(value, getattr(now, name))}
        if not any(moved.values()) and serving is None:
            return
        if moved and (serving is None or shared):
            if serving is not None:
                await self._lend(_OTHER[use], serving)
            serving = await self._add(use, msgspec.structs.replace(now, **moved))
        elif moved and serving is not None:
            values = payload.differing(payload.address(Address(**moved), use, serving.row), serving.row)
            await self._steps.patch(await self._path(serving), serving.row.etag, values)
        assert serving is not None
        await self._claim(use, serving)

    async def _add(self, use: Use, address: Address) -> Located:
        """A new address, or one that says just this: that of the other use, or one that was begun for this before."""
        for located in self._located:
            now = mapping.postal(self._row, located.row)
            if all(_same(getattr(address, name), getattr(now, name)) for name in address.__struct_fields__):
                return located
        values = {name: value for name, value in payload.address(address, use, None).items() if value is not None}
        values.setdefault("Country", self._row.CountryCode or None)
        answer = await self._steps.post(await self._path(), {"DefaultDomain": True, **values})
        if not answer.body:
            raise AnswerLost("IFS did not say which number the new address has")
        added = Located(answer.decode(_row), ())
        self._located.append(added)
        return added

    async def _claim(self, use: Use, serving: Located) -> None:
        """See to it that this address, and no other, is the default of its use; another use keeps the address it had."""
        wanted = self._reader.accounts.address_types
        self._located = [await self._typed(located) for located in self._located]
        mine = next(located for located in self._located if located.row.AddressId == serving.row.AddressId)
        for code in wanted[use]:
            for located in self._located:
                for found in located.types or ():
                    if located is not mine and _is(found, code) and found.DefAddress:
                        path = await self._path(located, found)
                        await self._steps.patch(path, found.etag, {"DefAddress": False})
            if not any(_is(found, code) for found in mine.types or ()):
                body = {"AddressTypeCode": code, "DefAddress": True}
                await self._steps.post(f"{await self._path(mine)}/AddressTypes", body)

    async def _lend(self, use: Use, located: Located) -> None:
        """What served for this use for want of another address now says so by a type."""
        located = await self._typed(located)
        codes = self._reader.accounts.address_types[use]
        if not any(_is(found, code) for found in located.types or () for code in codes):
            await self._steps.post(
                f"{await self._path(located)}/AddressTypes", {"AddressTypeCode": codes[0], "DefAddress": True}
            )

    async def _expire(self, use: Use, serving: Located | None, *, shared: bool) -> None:
        """IFS takes addresses out of use by their validity."""
        if serving is None:
            return
        if shared:
            raise RecordRejected(
                f"the address serves for {_OTHER[use]} as well and cannot be taken away from one of the two",
                code="SHARED",
                field=use,
                fix="Clear both, or give the other an address of its own",
            )
        yesterday = (self._today - timedelta(days=1)).isoformat()
        if serving.row.ValidTo == yesterday:
            return
        await self._steps.patch(await self._path(serving), serving.row.etag, {"ValidTo": yesterday})

    def _serving(self, use: Use) -> Located | None:
        wanted = self._reader.accounts.address_types[use]
        return mapping.serving_address(self._located, wanted, self._today, any_other=use == "billing")

    async def _typed(self, located: Located) -> Located:
        if located.types is not None:
            return located
        return Located(located.row, await self._reader.types_of(self._found, self._number, located.row))

    async def _path(self, located: Located | None = None, kind: AddressType | None = None) -> str:
        if located is not None and kind is not None:
            return await self._reader.type_path(self._found, self._number, located.row, kind)
        return await self._reader.child_path(
            self._found, self._number, "addresses", located.row if located is not None else None
        )


def _is(found: AddressType, code: str) -> bool:
    return found.AddressTypeCode.lower() == code.lower()


def _same(wanted: object, now: object) -> bool:
    """What is not told stays, and an empty text is nothing."""
    return wanted is UNSET or (wanted or None) == (now or None)
