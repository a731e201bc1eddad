"""What is played between two twins: a configuration that is derived from the recipe, of the flows that the twins can show.

Accounts and orders go from the ERP to the CRM as the recipe has it. Where both plugins write accounts and people write at both
twins, some stories keep the accounts alike both ways instead, in the fields that people set on either side.

Left out are kinds that the twins do not fill, flows with a ``where`` (what they leave out could only be told by the engine's
own expressions) and flows from the CRM back. Orders that a recipe keeps alike both ways go one way: which state an order may
pass to from which is each vendor's own, and no rule written down here could tell a step that is refused from one that is lost.
"""

import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ml_connector.domain import Kind
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
"""The field that the CRM owns where both sides changed it; the ERP owns the others."""
_FIX: Final = "Take a pair whose recipe carries accounts or orders of the ERP, all of them, to the CRM: ml-connector systems"
URLS: Final = ("http://127.0.0.1:1", "http://127.0.0.1:2")


class Script(msgspec.Struct, frozen=True):
    """One configuration to be played. ``sets`` are the recipe's expressions by flow, ``stages`` its table of them."""

    systems: tuple[str, str]
    workspace: Workspace
    sets: Mapping[str, Mapping[str, str]]
    stages: Mapping[str, str]

    def twins(self) -> tuple[Twin, Twin]:
        """Fresh ones, who know under which address they are asked."""
        erp, crm = (make_twin(system) for system in self.systems)
        for twin, url in zip((erp, crm), URLS, strict=True):
            twin.settings(url)
        return erp, crm


def scripts(recipe: str, erp: SystemSpec, crm: SystemSpec) -> Sequence[Script]:
    """The recipe one way, and with accounts both ways if that can be played.

    Raises ConfigError when a twin is missing, no flow can be played, or the CRM leads: its records have no numbers of their
    own, by which the rules here tell them.
    """
    data, systems = tomllib.loads(recipe), (erp.name, crm.name)
    if data["connections"][_ends(data)[0]]["system"] != erp.name:
        raise ConfigError(f"{erp.name}:{crm.name} cannot be simulated: its first flow reads {crm.name}", fix=_FIX)
    ways = [_one_way(data)]
    if not ways[0]["flows"]:
        raise ConfigError(f"{erp.name}:{crm.name} cannot be simulated: none of its flows can be judged", fix=_FIX)
    clerks = [twin for twin in (make_twin(erp.name), make_twin(crm.name)) if isinstance(twin, Clerk)]
    if len(clerks) == 2 and "account" in {*erp.writes} & {*crm.writes} & {*erp.reads} & {*crm.reads}:
        ways.append(_both_ways(tomllib.loads(recipe), clerks))
    return [
        Script(
            systems,
            _workspace(systems, data),
            {name: flow.get("set", {}) for name, flow in data["flows"].items()},
            data.get("tables", {}).get("order_stage", {}),
        )
        for data in ways
    ]


def _one_way(data: Data) -> Data:
    left, right = _ends(data)
    kept: Data = {}
    for name, flow in data["flows"].items():
        ends = flow.get("between") or [flow["from"], flow["to"]]
        if ends == [left, right] and flow["entity"] in PLAYED and "where" not in flow:
            rest = {key: value for key, value in flow.items() if key not in ("between", "owner", "owners", "writes", "cron")}
            kept[name] = {**rest, "from": left, "to": right}
    for flow in kept.values():
        flow["after"] = [name for name in flow.get("after", ()) if name in kept]
    return {**data, "flows": kept}


def _both_ways(data: Data, clerks: Sequence[Clerk]) -> Data:
    """Without a number yet, a record is known by its name: nothing else is told on both sides of every one."""
    data = _one_way(data)
    left, right = _ends(data)
    for name, clerk in zip((left, right), clerks, strict=True):
        data["connections"][name] = _merged(data["connections"][name], clerk.newcomers())
    for flow in data["flows"].values():
        if flow["entity"] == "account":
            flow.clear()
            flow |= {"between": [left, right], "owner": left, "owners": {OURS: right}}
            flow |= {"entity": "account", "match": ["number", "name"], "fields": [*BOTH]}
    return data


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
