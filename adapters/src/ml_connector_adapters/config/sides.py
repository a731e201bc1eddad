"""The two sides of a flow: ``from`` and ``to``, or ``between`` with the owners of what both sides may change."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from ml_connector.domain import Kind
from ml_connector.flows.flow import Owner
from ml_connector.system import SystemSpec
from ml_connector_adapters.config.decode import Mistakes, join, misspelt
from ml_connector_adapters.config.fields import indivisible, unwritable
from ml_connector_adapters.words import nearest

_RULES: Final[tuple[Literal["newest", "ask"], ...]] = ("newest", "ask")
"""Owners that are no connection: whichever side changed later, and nobody until a person has chosen."""

_ONE_WAY: Final = "write one-way flows with from and to"
_NOT_TWO_WAY: Final = {
    "as": f"both sides of a two-way flow hold the same kind. Leave it out, or {_ONE_WAY}",
    "set": f"its expressions cannot be read backwards, as a two-way flow would have to. Leave it out, or {_ONE_WAY}",
    "drift": "an edit on either side of a two-way flow is a change and no drift. Leave it out: owner says who wins a clash",
    "writes": f"a two-way flow creates and updates on both sides. Leave it out, or {_ONE_WAY}",
}
_NOT_ONE_WAY: Final = dict.fromkeys(
    ("owner", "owners"), "a one-way flow's source owns everything. Leave it out, or write between in place of from and to"
)

SHAPES: Final[list[dict[str, Any]]] = [
    {"title": "one way", "required": ["from", "to"], "properties": dict.fromkeys(("between", *_NOT_ONE_WAY), False)},
    {
        "title": "two-way",
        "required": ["between", "owner"],
        "properties": {**dict.fromkeys(("from", "to", *_NOT_TWO_WAY), False), "writes": {"const": "create+update"}},
    },
]
"""The JSON Schema of which settings go together; exactly one of the two holds."""


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """What a Flow is told of its sides, under the Flow's names."""

    left: str
    right: str
    two_way: bool = False
    owner: Owner = "left"
    owners: Mapping[str, Owner] = {}


def fitting(found: Mapping[str, Any], known: Iterable[str], path: str, mistakes: Mistakes) -> dict[str, Any]:
    """The settings that may stand in one flow together; all others, and those that are missing, are mistakes told.

    ``known`` are the names of all settings, so that a misspelt one is not told as missing.
    """
    meant = {*found, *misspelt(found, known)}
    ends = [key for key in ("from", "to") if key in found]
    if "between" in meant:
        if ends:
            mistakes.add(f"{path}.between", f"it stands in place of {' and '.join(ends)}. Leave out the one or the other")
        if "owner" not in meant:
            mistakes.add(f"{path}.owner", 'missing. Name the one of the two that wins a clash, or write "newest" or "ask"')
        unfit = {key: why for key, why in _NOT_TWO_WAY.items() if (key, found.get(key)) != ("writes", "create+update")}
    elif "from" in meant or "to" in meant:
        for key in ("from", "to"):
            if key not in meant:
                mistakes.add(f"{path}.{key}", "missing. Expected the name of a connection")
        ends, unfit = [], _NOT_ONE_WAY
    else:
        one_way, two_way = 'from = "NAME" and to = "NAME"', 'between = ["NAME", "NAME"] and owner = "NAME"'
        mistakes.add(path, f"it names no connections. Write {one_way} for one way, {two_way} for both")
        unfit = {}
    for key in found:
        if key in unfit:
            mistakes.add(f"{path}.{key}", unfit[key])
    return {key: value for key, value in found.items() if key not in ends and key not in unfit}


class SidesReader:
    """Reads the sides of flows. ``connections`` holds None for one whose system is not known, which is told elsewhere."""

    def __init__(self, connections: Mapping[str, SystemSpec | None], mistakes: Mistakes) -> None:
        self._connections, self._mistakes = connections, mistakes

    def one_way(self, given: Mapping[str, Any], kind: Kind | None, target: Kind | None, path: str) -> Sides | None:
        """``from`` and ``to``, or None when a name is not there at all. Kinds are None where they cannot be told."""
        left, right = given.get("left"), given.get("right")
        if left is not None and left == right:
            self._mistakes.add(f"{path}.to", f'"{right}" is where the records come from. Name another connection')
        else:
            told = self._unable(left, "read", kind, f"{path}.from", f"{path}.entity")
            wanted = None if told and target == kind else target  # one wrong entity is one mistake
            self._unable(right, "write", wanted, f"{path}.to", f"{path}.{'as' if 'as_' in given else 'entity'}")
        return None if left is None or right is None else Sides(left=left, right=right)

    def two_way(self, given: Mapping[str, Any], kind: Kind | None, path: str) -> Sides | None:
        """``between`` with its owners, or None when it has mistakes."""
        before, between = len(self._mistakes), given.get("between")
        if between is not None:
            self._check_pair(between, kind, f"{path}.between")
        if "owner" in given:
            self._check_owner(given["owner"], between, f"{path}.owner")
        for field, owner in given.get("owners", {}).items():
            place = join(f"{path}.owners", field)
            if kind is not None:
                self._check_owned(field, kind, given.get("fields"), place)
            self._check_owner(owner, between, place)
        if len(self._mistakes) > before or between is None or "owner" not in given:
            return None
        left, right = between
        words: dict[str, Owner] = {**{rule: rule for rule in _RULES}, left: "left", right: "right"}
        owners = {field: words[owner] for field, owner in sorted(given.get("owners", {}).items())}
        return Sides(left=left, right=right, two_way=True, owner=words[given["owner"]], owners=owners)

    def _unable(self, name: str | None, verb: Literal["read", "write"], kind: Kind | None, named: str, wanted: str) -> bool:
        """Tell a connection that is not there, or whose system does not do that with the kind; True for the latter."""
        if name is None or not self._there(name, named):
            return False
        system = self._connections[name]
        if system is None or kind is None or _able(system, verb, kind):
            return False
        able = system.reads if verb == "read" else system.writes
        self._mistakes.add(wanted, f"{system.name} does not {verb} {kind}. It {verb}s {', '.join(able) or 'nothing'}")
        return True

    def _there(self, name: str, path: str) -> bool:
        if name not in self._connections:
            self._mistakes.add(path, f'no connection "{name}"{nearest(name, self._connections)}')
        return name in self._connections

    def _check_pair(self, between: tuple[str, str], kind: Kind | None, path: str) -> None:
        """Tell connections that are not there, are the same, or of which one does not both read and write the kind."""
        if between[0] == between[1]:
            self._mistakes.add(path, f'"{between[0]}" stands there twice. Name two different connections')
            return
        there = [self._there(name, path) for name in between]
        if all(there) and kind is not None:
            fix = self._one_way_instead(between, kind)
            told = [
                f"{system.name} {lack}. {fix}"
                for name in between
                if (system := self._connections[name]) is not None and (lack := _lack(system, kind))
            ]
            for line in dict.fromkeys(told):  # two connections may be of one system
                self._mistakes.add(path, line)

    def _one_way_instead(self, between: tuple[str, str], kind: Kind) -> str:
        """The one direction that is possible; a system that is not known is trusted to be able."""
        for source, target in (between, between[::-1]):
            if _able(self._connections[source], "read", kind) and _able(self._connections[target], "write", kind):
                return f'Make it a one-way flow: from = "{source}", to = "{target}"'
        return "Choose another entity or other connections"

    def _check_owner(self, owner: str, between: tuple[str, str] | None, path: str) -> None:
        """Tell an owner that is neither of the two nor a rule, or that may be either."""
        if between is None:
            return
        if owner in _RULES and owner in between:
            self._mistakes.add(path, f'"{owner}" is a word of its own here and cannot name a connection. Rename the connection')
        elif owner not in (*_RULES, *between):
            self._mistakes.add(path, f'"{owner}" is not known{nearest(owner, (*_RULES, *between))}')

    def _check_owned(self, field: str, kind: Kind, fields: tuple[str, ...] | None, path: str) -> None:
        """Tell what is no field of the kind, and what ``fields`` leaves out."""
        head = field.partition(".")[0]
        if wrong := unwritable(field, kind):
            self._mistakes.add(path, wrong)
        elif indivisible(field, kind):
            self._mistakes.add(path, f'"{head}" goes one way or the other as a whole. Write "{head}"')
        elif fields is not None and not {field, head} & set(fields):
            add = field if head == "extra" else head
            told = "it has nothing to own, because fields leaves it out"
            self._mistakes.add(path, f'{told}. Add "{add}" there, or take this out')


def _able(system: SystemSpec | None, verb: Literal["read", "write"], kind: Kind) -> bool:
    return system is None or kind in (system.reads if verb == "read" else system.writes)


def _lack(system: SystemSpec, kind: Kind) -> str | None:
    """What a side of a two-way flow cannot do with the kind; None when it can do both."""
    match _able(system, "read", kind), _able(system, "write", kind):
        case True, True:
            return None
        case True, False:
            return f"reads {kind} but does not write it"
        case False, True:
            return f"writes {kind} but does not read it"
        case _:
            return f"neither reads nor writes {kind}"
