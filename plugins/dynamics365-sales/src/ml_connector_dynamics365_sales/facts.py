"""What records refer to and every connection has few of: currencies, units, price lists, the connector's own user."""

from collections.abc import Mapping

import msgspec

from ml_connector.errors import RecordRejected


class Unit(msgspec.Struct, frozen=True):
    id: str
    name: str
    group: str  # id of its unit group
    base: bool = False


class PriceLevel(msgspec.Struct, frozen=True):
    id: str
    name: str
    currency: str  # id


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Read once, kept as long as the metadata."""

    user: str | None = None  # systemuserid of the application user
    organization: str = ""
    currencies: Mapping[str, str] = {}  # id → ISO code
    units: tuple[Unit, ...] = ()
    groups: Mapping[str, str] = {}  # id of a unit group → name
    group: str = ""  # name of the unit group of new products
    prices: tuple[PriceLevel, ...] = ()
    chosen_prices: str = ""  # name of the price list of new orders and quotes

    def currency(self, currency_id: object) -> str:
        """ISO code, "" for none."""
        return self.currencies.get(str(currency_id), "")

    def currency_id(self, code: str) -> str:
        """Raises RecordRejected when the environment does not have the currency."""
        for currency_id, told in self.currencies.items():
            if told == code:
                return currency_id
        raise RecordRejected(
            f"the environment has no currency {code}",
            code="CURRENCY",
            field="currency",
            fix="Add the currency in Dynamics (Settings, Business Management, Currencies), or convert amounts in the flow",
        )

    def unit_name(self, unit_id: object) -> str | None:
        return next((unit.name for unit in self.units if unit.id == unit_id), None)

    def unit(self, name: str, group: str | None = None) -> Unit:
        """The unit of that name in a group (id), else in the group of new products. Raises RecordRejected."""
        for unit in self.units:
            if unit.name.casefold() == name.casefold() and unit.group == (group or self._group_id()):
                return unit
        told = self.groups.get(group or "", self.group)
        raise RecordRejected(
            f'the unit group "{told}" has no unit "{name}"',
            code="UNIT",
            field="unit",
            fix='Add the unit in Dynamics, or name its counterpart: units."PCS" = "Primary Unit"',
        )

    def unit_bound(self, name: str) -> dict[str, str]:
        """Unit and group of a product, as they are bound. Raises RecordRejected."""
        unit = self.unit(name)
        return {
            "defaultuomid@odata.bind": f"/uoms({unit.id})",
            "defaultuomscheduleid@odata.bind": f"/uomschedules({unit.group})",
        }

    def base_unit_bound(self) -> dict[str, str]:
        """The group's base unit. Raises RecordRejected."""
        group = self._group_id()
        unit = next((unit for unit in self.units if unit.group == group and unit.base), None)
        if unit is None:
            raise RecordRejected(
                f'the unit group "{self.group}" has no base unit', code="UNIT", field="unit", fix="Set default_unit"
            )
        return self.unit_bound(unit.name)

    def price_list(self, currency: str | None) -> str | None:
        """Id of the chosen price list if it is in the currency (ISO code): no record takes one in another."""
        named = (prices for prices in self.prices if prices.name == self.chosen_prices)
        return next((prices.id for prices in named if currency and self.currency(prices.currency) == currency), None)

    def _group_id(self) -> str:
        group = next((one for one, name in self.groups.items() if name == self.group), None)
        if group is None:
            raise RecordRejected(
                f'the environment has no unit group "{self.group}"',
                code="UNIT",
                field="unit",
                fix="Name one in the setting unit_group",
            )
        return group
