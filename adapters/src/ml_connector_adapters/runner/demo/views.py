"""What one side should hold of the other's records, by rules written down here and not taken from the engine."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, TypeAlias

import msgspec

from ml_connector.twin import Twin

Facts: TypeAlias = dict[str, Mapping[str, object]]
"""Business number → what stands there."""
COMPARED: Final = ("account", "contact", "vendor", "product", "order", "purchase_order", "invoice")
CENTS: Final = Decimal("0.05")
"""How far apart amounts may be that each system adds up and rounds by itself."""


COUNTRIES: Final = {"France": "FR", "Germany": "DE", "India": "IN", "Norway": "NO", "Sweden": "SE", "United Kingdom": "GB"}
"""Some systems say countries in words, others in ISO 3166 codes."""


class Strand(msgspec.Struct, frozen=True, kw_only=True):
    """One flow of the recipe, as the demo needs it: from which twin to which."""

    name: str
    left: str  # the connections' names
    right: str
    source: Twin
    target: Twin
    entity: str
    shown: str  # the kind that the target keeps of it
    two_way: bool = False
    updates: bool = False  # it makes nothing at the target
    stages: Mapping[str, str] = {}  # order_stage: the source's status → the target's stage
    moves: Mapping[str, str] = {}  # stage_status: the source's stage → the target's status
    native: bool = False  # it leaves out what began at the target, which an external_reference tells
    by_id: bool = False  # the target knows the source's records by the ids that they have there

    def wanted(self) -> Facts:
        """What the target should hold, in all the names that a system may tell of."""
        accounts = {number: str(facts["id"]) for number, facts in self.source.facts("account")} if self.by_id else {}
        found: Facts = {}
        for number, facts in self.source.facts(self.entity):
            if self.native and facts.get("external_reference"):
                continue
            account = facts.get("account")
            told = self._view({**facts, "account": accounts.get(str(account), account)})
            if told is not None:
                found[str(facts["id"]) if self.by_id else number] = told
        return found

    def returns(self, other: "Strand") -> bool:
        """Whether it tells back to where ``other`` reads what became of its records."""
        ends = (self.source, self.entity, self.target, self.shown)
        return self.updates and ends == (other.target, other.shown, other.source, other.entity)

    def edit(self, count: int, seed: int) -> set[str]:
        """Records that people change at the source, by what the target knows them by."""
        before = self.wanted() if self.by_id else {}
        numbers = self.source.edit(self.entity, count, seed=seed)
        if not self.by_id:
            return set(numbers)
        return {one for one, facts in self.wanted().items() if facts != before[one]}  # people's names are not unique

    def held(self) -> Facts:
        return dict(self.target.facts(self.shown))

    def _view(self, facts: Mapping[str, object]) -> Mapping[str, object] | None:
        if self.entity == "account":
            if facts.get("category", "Customer") != "Customer":
                return None
            return {**facts, "Tax_ID": facts.get("tax_id"), "Payment_Terms": facts.get("payment_terms")}
        if self.entity != "order":
            return facts
        reference = facts.get("customer_reference")
        told = {
            "amount": facts["amount"],
            "currency": facts["currency"],
            "account": facts["customer"],
            "closing_on": facts["wanted_on"],
            "wanted_on": facts["wanted_on"],
            "Region": facts.get("region"),
            "customer_reference": reference,
            "Customer_Reference": reference,
            "lines": facts["lines"],
        }
        if self.stages:
            told["stage"] = self.stages.get(str(facts["status"])) or self.stages["InFulfilment"]
        return told


def strands(recipe: Mapping[str, Any], twins: Mapping[str, Twin]) -> list[Strand]:
    """The recipe's flows in their order; ``twins`` by system."""
    systems = {name: twins[connection["system"]] for name, connection in recipe["connections"].items()}
    tables = recipe.get("tables", {})
    return [
        Strand(
            name=name,
            left=source,
            right=target,
            source=systems[source],
            target=systems[target],
            entity=flow["entity"],
            shown=flow.get("as", flow["entity"]),
            two_way="between" in flow,
            updates=flow.get("writes") == "update",
            stages=tables.get("order_stage", {}) if flow["entity"] == "order" else {},
            moves=tables.get("stage_status", {}) if flow.get("writes") == "update" else {},
            native="external_reference == `null`" in flow.get("where", ""),
            by_id=recipe["connections"][source].get("keys", {}).get(flow["entity"]) == "id",
        )
        for name, flow in recipe["flows"].items()
        for source, target in [flow.get("between") or (flow["from"], flow["to"])]
    ]


def differing(wanted: Facts, held: Facts) -> Iterator[str]:
    """In words, where a record is told differently by name."""
    for number, facts in wanted.items():
        there = held.get(number, {})
        for name in facts.keys() & there.keys() - {"id"}:
            here, stands = facts[name], there[name]
            if name.endswith(".country"):
                here, stands = COUNTRIES.get(str(here), here), COUNTRIES.get(str(stands), stands)
            if not same(here, stands):
                yield f"{number}.{name}: {facts[name]!r} → {there[name]!r}"


def same(here: object, there: object) -> bool:
    """Lines agree when each one's key, item, quantity and amount stand together in one row, which may lack the key."""
    if isinstance(here, tuple) and isinstance(there, (tuple, list)):
        return len(here) == len(there) and all(any(_same_line(line, row) for row in there) for line in here)
    one, other = _plain(here), _plain(there)
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return abs(one - other) <= CENTS
    return one == other


def _same_line(line: Sequence[object], row: Mapping[str, object]) -> bool:
    told = line if row.get("key", "") is not None else line[1:]
    return all(any(same(part, value) for value in row.values()) for part in told)


def _plain(value: object) -> object:
    """What both vendors can hold of a value: text without outer blanks, money in cents, nothing for empty."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Decimal):
        return value.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return value
