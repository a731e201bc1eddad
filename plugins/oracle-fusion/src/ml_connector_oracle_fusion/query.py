"""Text of Oracle's query parameters: row-match expressions (framework 2 and later), finders, field lists, times.

Oracle, Sales REST: "Row-match expressions"; a quote within a text is doubled, everything is percent-encoded once, "+" too.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from ml_connector_oracle_fusion.settings import Stamp

STEP: Final[dict[Stamp, timedelta]] = {
    "iso_offset": timedelta(milliseconds=1),
    "iso_z": timedelta(milliseconds=1),
    "space": timedelta(seconds=1),
}
"""How finely a literal tells the time."""


def text(value: str) -> str:
    """A quoted literal."""
    return "'" + value.replace("'", "''") + "'"


def plain(literal: str) -> str:
    """What a literal stands for."""
    return literal[1:-1].replace("''", "'") if literal.startswith("'") else literal


def stamp(when: datetime, style: Stamp) -> str:
    """A quoted literal in UTC, cut to what the style can tell."""
    moment = when.astimezone(UTC).replace(tzinfo=None)
    if style == "space":
        return text(moment.isoformat(" ", "seconds"))
    return text(moment.isoformat(timespec="milliseconds") + ("Z" if style == "iso_z" else "+00:00"))


def cut(when: datetime, style: Stamp) -> datetime:
    """The time that a literal of this style stands for."""
    micro = 0 if style == "space" else when.microsecond // 1000 * 1000
    return when.replace(microsecond=micro)


def one_of(attribute: str, literals: Iterable[str]) -> str:
    """An or-chain: ``in`` is no more to Oracle, and fewer servers read it."""
    return " or ".join(f"{attribute} = {literal}" for literal in literals)


def both(*conditions: str) -> str:
    """All of them. A semicolon binds weaker than ``or``, so that no brackets are needed."""
    return ";".join(filter(None, conditions))


def finder(name: str, variables: Mapping[str, str]) -> str:
    """``Name;Var=Value,Var2=Value2``, values alone percent-encoded."""
    return f"{name};" + ",".join(f"{key}={quote(value, safe='')}" for key, value in variables.items())


def fields(own: Sequence[str], children: Mapping[str, Sequence[str]]) -> str:
    """``A,B;lines:X,Y``: naming a child's attributes expands it."""
    return ";".join([",".join(own), *(f"{child}:{','.join(names)}" for child, names in children.items())])


def parameters(**told: str | int) -> str:
    """``?q=…&limit=…``, each value encoded once; a finder is encoded already. Empty values are left out."""
    parts = [
        f"{name}={value if name == 'finder' else quote(str(value), safe=',:;' if name in ('fields', 'orderBy') else '')}"
        for name, value in told.items()
        if value != ""
    ]
    return "?" + "&".join(parts) if parts else ""
