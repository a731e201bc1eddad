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
CENT: Final = Decimal("0.01")


class Views:
    """How the script's flows show records."""

    def __init__(self, script: Script) -> None:
        self._stages = script.stages
        kinds = {flow.name: flow.target for flow in script.workspace.flows}
        self._set: dict[str, dict[str, str]] = {}  # kind on the right → path there → the left fact that stands in it
        for flow, expressions in script.sets.items():
            plain = {path: text.removeprefix("extra.") for path, text in expressions.items()}
            kept = {path: fact for path, fact in plain.items() if fact.isidentifier() and fact not in UNJUDGED}
            self._set.setdefault(kinds[flow], {}).update(kept)
            if any("'order_stage'" in text for text in expressions.values()):
                self._set[kinds[flow]]["stage"] = "stage"

    def told(self, flow: Flow, side: Side, number: str, facts: Mapping[str, object]) -> dict[str, Any]:
        """What stands in a record, as far as it is compared. Of one that has no number yet, twins tell the name for it."""
        if flow.two_way:
            borne = None if side == "right" and number == facts.get("name") else number
            return {"number": borne, **{path: facts.get(path) for path in BOTH}}
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
        """Of an order that is kept as an order: how much of things was ordered. Amounts each system adds up in its own way."""
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
                return {**fields, **sets}
            case "order", "deal":
                told = {"amount": fields.get("amount"), "closing_on": fields.get("wanted_on")}
                if "stage" in sets:
                    sets["stage"] = self._stages.get(str(fields.get("status"))) or self._stages.get("InFulfilment")
            case _:
                told = {"wanted_on": fields.get("wanted_on"), "quantities": fields.get("quantities")}
        return {"number": fields["number"], "account": fields.get("customer"), **told, **sets}


def habit(value: Any) -> Any:
    """What every CRM makes of a value: text without outer blanks, amounts in cents."""
    if isinstance(value, str):
        return value.strip()
    return _cents(value) if isinstance(value, Decimal) else value


def _name(field: str) -> str:
    """A custom field's name as people and APIs spell it: "Customer reference", "Customer_Reference"."""
    return field.replace(" ", "_").casefold()


def _cents(value: Any) -> Decimal:
    return Decimal(value).quantize(CENT, ROUND_HALF_UP)


def in_scope(kind: Kind, fields: Mapping[str, object]) -> bool:
    """Whether the ERP's plugin reads the record at all: prospects are left out at the source."""
    return kind != "account" or fields.get("category", "Customer") == "Customer"
