"""What is played between two twins: a configuration that is derived from the recipe, of the flows that the twins can show.

Accounts and orders go from the side that leads, which the recipe's first flow reads, to the other as the recipe has it. Where
both plugins write accounts and people write at both twins, some stories keep the accounts alike both ways instead, in the
fields that people set on either side.

Left out are kinds that not every twin fills and tells, flows with a ``where`` that no rule of the judge's stands for, and flows
back to the side that leads. Orders that a recipe keeps alike both ways go one way: which state an order may pass to from which
is each vendor's own, and no rule written down here could tell a step that is refused from one that is lost.
"""

import tempfile
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ml_connector.domain import Kind, Side
from ml_connector.errors import ConfigError
from ml_connector.system import SystemSpec
from ml_connector.twin import Clerk, Twin
from ml_connector_adapters.config import Workspace, load
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.demo import write_config
from ml_connector_adapters.runner.twins import make_twin, toml

Data = dict[str, Any]

PLAYED: Final[tuple[Kind, ...]] = ("account", "order")
BOTH: Final = ("name", "phone", "website")
"""Fields of accounts that people set on either side. Addresses are not among them: a CRM takes any text for a country, an ERP
only those that it knows, so that what is refused would be the judge's guess."""
OURS: Final = "phone"
"""The field that the other side owns where both changed it; the one that leads owns the rest."""
PASSING: Final = (
    None,
    "category == 'Customer'",
    "category != 'Prospect'",
    "number || category == 'Customer'",
    "external_reference == `null`",
)
"""What a ``where`` may say. The judge knows of itself that prospects are left out; the others leave out only what begins at the
side that does not lead."""
_FIX: Final = "Take a pair whose recipe begins with a flow of accounts or orders, of all of them: ml-connector systems"
SIDES: Final[tuple[Side, Side]] = ("left", "right")
URLS: Final = ("http://127.0.0.1:1", "http://127.0.0.1:2")


class Script(msgspec.Struct, frozen=True):
    """One configuration to be played. ``sets`` are the recipe's expressions by flow, ``stages`` its table of them."""

    systems: tuple[str, str]  # the one that leads, and the other
    workspace: Workspace
    sets: Mapping[str, Mapping[str, str]]
    stages: Mapping[str, str]
    numbers: bool  # accounts get their numbers from one of the systems; else people give them
    own_ids: Collection[Side]  # sides on which the number of an account is its id

    def twins(self) -> tuple[Twin, Twin]:
        """Fresh ones, who know under which address they are asked."""
        left, right = (make_twin(system) for system in self.systems)
        for twin, url in zip((left, right), URLS, strict=True):
            twin.settings(url)
        return left, right


def scripts(recipe: str, erp: SystemSpec, crm: SystemSpec) -> Sequence[Script]:
    """The recipe one way, and with accounts both ways if that can be played.

    Raises ConfigError when a twin is missing, or no flow can be judged.
    """
    data = _one_way(tomllib.loads(recipe))
    if not data["flows"]:
        raise ConfigError(f"{erp.name}:{crm.name} cannot be simulated: none of its flows can be judged", fix=_FIX)
    ends = _ends(data)
    connections = [data["connections"][name] for name in ends]
    systems = connections[0]["system"], connections[1]["system"]
    own_ids = [side for side, told in zip(SIDES, connections, strict=True) if told.get("keys", {}).get("account") == "id"]
    clerks = [twin for twin in map(make_twin, systems) if isinstance(twin, Clerk)]
    numbers = "left" in own_ids or any(clerk.numbers for clerk in clerks)
    ways = [data]
    if len(clerks) == 2 and "account" in {*erp.writes} & {*crm.writes} & {*erp.reads} & {*crm.reads}:
        ways.append(_both_ways(tomllib.loads(recipe), clerks, match=["number", "name"] if numbers else ["number"]))
    return [
        Script(
            systems,
            _workspace(systems, data),
            {name: flow.get("set", {}) for name, flow in data["flows"].items()},
            data.get("tables", {}).get("order_stage", {}),
            numbers,
            own_ids,
        )
        for data in ways
    ]


def _one_way(data: Data) -> Data:
    left, right = _ends(data)
    kept: Data = {}
    for name, flow in data["flows"].items():
        ends = flow.get("between") or [flow["from"], flow["to"]]
        if ends == [left, right] and flow["entity"] in PLAYED and flow.get("where") in PASSING:
            rest = {key: value for key, value in flow.items() if key not in ("between", "owner", "owners", "cron")}
            kept[name] = {**rest, "from": left, "to": right}
    return {**data, "flows": _among_themselves(kept)}


def _both_ways(data: Data, clerks: Sequence[Clerk], *, match: Sequence[str]) -> Data:
    """``match`` has the name where numbers come late: nothing else is told on both sides of every record."""
    data = _one_way(data)
    left, right = _ends(data)
    for name, clerk in zip((left, right), clerks, strict=True):
        data["connections"][name] = _merged(clerk.newcomers(), data["connections"][name])
    accounts = [name for name, flow in data["flows"].items() if flow["entity"] == "account"]
    kept = {name: flow for name, flow in data["flows"].items() if name not in accounts[1:]}  # those complete what one made
    for name in accounts[:1]:
        alike = {"between": [left, right], "owner": left, "owners": {OURS: right}}
        kept[name] = {**alike, "entity": "account", "match": match, "fields": [*BOTH]}
    return {**data, "flows": _among_themselves(kept)}


def _among_themselves(flows: Data) -> Data:
    """The flows without those among ``after`` that are not played."""
    return {
        name: {**flow, "after": [one for one in flow["after"] if one in flows]} if "after" in flow else flow
        for name, flow in flows.items()
    }


def _ends(data: Data) -> tuple[str, str]:
    """The connections of the first flow, which is read on the left: a recipe may have more than one to a system."""
    flow = next(iter(data["flows"].values()))
    left, right = flow.get("between") or (flow["from"], flow["to"])
    return left, right


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Data:
    """Settings beside settings, tables within them too; ``one`` stands where both say something."""
    both = {name for name in one.keys() & other.keys() if isinstance(one[name], dict)}
    return {**other, **one, **{name: _merged(one[name], other[name]) for name in both}}


def _workspace(systems: tuple[str, str], data: Data) -> Workspace:
    """Between addresses where nobody listens: the twins are asked in process."""
    lines = [
        line
        for part in ("connections", "flows", "tables")
        for name, values in data.get(part, {}).items()
        for line in (f"[{part}.{name}]", *(f"{toml(key)} = {toml(value)}" for key, value in values.items()))
    ]
    twins = {system: (make_twin(system), url) for system, url in zip(systems, URLS, strict=True)}
    with tempfile.TemporaryDirectory() as home:
        write_config(Path(home), "\n".join(lines), twins)
        return load(Path(home) / "ml-connector.toml", discover().systems)[0]
