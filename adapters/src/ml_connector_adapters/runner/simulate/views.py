"""What a twin's facts say in canonical paths, and what one side asks of the other: by rules written down here and not taken
from the engine.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from ml_connector.domain import Kind, Side
from ml_connector.flows import Flow
from ml_connector.simulation.pair import Fields
from ml_connector_adapters.runner.simulate.script import BOTH, Script

SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("name", "phone", "fax", "website", "billing.", "shipping."),
    "deal": ("amount", "stage", "account", "closing_on"),
    "order": ("account", "wanted_on", "description"),
}
"""What is compared of a record on the written side, besides what the recipe sets: what flows write by themselves."""
UNJUDGED: Final = ("status",)
"""Each ERP's own words stand among its facts; which canonical word each one is, the plugin says."""
READY: Final = {"customer_accounts": 1, "bill_to_sites": 1, "profiles": 1}
"""What a customer that is ready for invoices has at an ERP that keeps those apart: one of each."""
COUNTRIES: Final = {"Sweden": "SE", "Germany": "DE", "United Kingdom": "GB", "France": "FR", "India": "IN"}
"""Countries are compared by their codes: some systems keep those, some take any text."""
CENT: Final = Decimal("0.01")


class Views:
    """How the script's flows show records."""

    def __init__(self, script: Script) -> None:
        self._stages, self._own_ids = script.stages, script.own_ids
        self.readies = {flow for flow, sets in script.sets.items() if "finance_ready" in sets.get("extra.finance_status", "")}
        kinds = {flow.name: flow.target for flow in script.workspace.flows}
        self._set: dict[str, dict[str, str]] = {}  # kind on the right → path there → the left fact that stands in it
        for flow, expressions in script.sets.items():
            plain = {path: text.removeprefix("extra.") for path, text in expressions.items()}
            kept = {path: fact for path, fact in plain.items() if fact.isidentifier() and fact not in UNJUDGED}
            self._set.setdefault(kinds[flow], {}).update(kept)
            if any("'order_stage'" in text for text in expressions.values()):
                self._set[kinds[flow]]["stage"] = "stage"

    def number(self, flow: Flow, side: Side, number: str, facts: Mapping[str, object]) -> str | None:
        """The number by which both sides know a record. For one that has none yet, twins tell its name or its own number."""
        if side in self._own_ids and flow.kind(side) == "account":
            return str(facts["id"])
        nameless = flow.two_way and side == "right" and number in (facts.get("name"), facts.get("party_number"))
        return None if nameless else number

    def told(self, flow: Flow, side: Side, number: str | None, facts: Mapping[str, object]) -> dict[str, Any]:
        """What stands in a record, as far as it is compared."""
        if flow.two_way:
            return {"number": number, **{path: facts.get(path) for path in BOTH}}
        facts = {path: country(path, value) for path, value in facts.items()}
        if side == "left":
            return {"number": number, **facts}
        sets = self._set.get(flow.target, {})
        custom = {_name(path.removeprefix("extra.")): path for path in sets}
        shown = {path: value for path, value in facts.items() if path.startswith(SHOWN[flow.target])}
        return {
            "number": number,
            **shown,
            **{custom[_name(name)]: value for name, value in facts.items() if _name(name) in custom},
        }

    def besides(self, flow: Flow, side: Side, facts: Mapping[str, object]) -> dict[str, Any]:
        """Of an order that is kept as an order: how much of things was ordered. Amounts each system adds up in its own way.

        Of an account: what makes it ready for invoices.
        """
        if flow.target == "account" and side == "right" and self.readies:
            return {name: count for name, count in facts.items() if name in READY}
        if flow.target != "order":
            return {}
        lines: Any = facts.get("lines") or ()
        told = (line[2] if isinstance(line, tuple) else line.get("quantity") for line in lines)
        return {"quantities": sorted(Decimal(str(quantity)) for quantity in told)}

    def asked(self, flow: Flow, fields: Fields) -> Fields:
        """What a left record asks for on the right."""
        sets = {path: fields.get(fact) for path, fact in self._set.get(flow.target, {}).items()}
        match flow.entity, flow.target:
            case "account", _:
                told = {path: value for path, value in fields.items() if _carried(flow, path)}
                if flow.name in self.readies:
                    told |= READY if _has_address(fields) else dict.fromkeys(READY, 0)
                return {**told, **sets}
            case "order", "deal":
                told = {"amount": fields.get("amount"), "closing_on": fields.get("wanted_on")}
                if "stage" in sets:
                    sets["stage"] = self._stages.get(str(fields.get("status"))) or self._stages.get("InFulfilment")
            case _:
                told = {"wanted_on": fields.get("wanted_on"), "quantities": fields.get("quantities")}
        return {"number": fields["number"], "account": fields.get("customer"), **told, **sets}


def _has_address(fields: Fields) -> bool:
    """Whether invoices could be sent anywhere."""
    return any(value for path, value in fields.items() if path.startswith("billing."))


def _carried(flow: Flow, path: str) -> bool:
    return flow.fields is None or path.partition(".")[0] in {*flow.fields, *flow.match}


def habit(path: str, value: Any) -> Any:
    """What every system makes of a value: text without outer blanks, amounts in cents."""
    if isinstance(value, str):
        return country(path, value.strip())
    return _cents(value) if isinstance(value, Decimal) else value


def country(path: str, value: Any) -> Any:
    return COUNTRIES.get(value, value) if path.endswith(".country") else value


def _name(field: str) -> str:
    """A custom field's name as people and APIs spell it: "Customer reference", "Customer_Reference"."""
    return field.replace(" ", "_").casefold()


def _cents(value: Any) -> Decimal:
    return Decimal(value).quantize(CENT, ROUND_HALF_UP)


def in_scope(kind: Kind, fields: Mapping[str, object]) -> bool:
    """Whether the flow carries the record at all: prospects are left out, by the plugin that reads or by ``where``."""
    return kind != "account" or fields.get("category", "Customer") == "Customer"
