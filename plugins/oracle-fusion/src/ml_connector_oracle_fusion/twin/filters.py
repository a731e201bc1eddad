"""``q``: query by example at framework 1, row-match expressions from 2 on; as strict about types as about names."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final, TypeAlias

from ml_connector_oracle_fusion.twin.answers import bad
from ml_connector_oracle_fusion.twin.schema import Type

Check: TypeAlias = Callable[[Mapping[str, Any]], bool]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<op><=|>=|<>|!=|=|<|>)|(?P<mark>[(),])|(?P<word>[A-Za-z_]\w*))"
)
STYLES: Final = {
    "iso_offset": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?[+-]\d\d:\d\d"),
    "iso_z": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"),
    "space": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
}
_EXAMPLE: Final = re.compile(r"(\w+)\s*(<=|>=|<>|!=|=|<|>)\s*(.*)")


def split(text: str) -> list[str]:
    """The parts between semicolons that stand in no quotes."""
    return [part.strip() for part in re.findall(r"(?:'(?:[^']|'')*'|[^;'])+", text) if part.strip()]


class Filters:
    """Compiles expressions over one resource's attributes."""

    def __init__(self, attributes: Mapping[str, Type], queryable: frozenset[str], styles: tuple[str, ...]) -> None:
        self._attributes, self._queryable, self._styles = attributes, queryable, styles

    def compile(self, text: str, version: int) -> Check:
        """Raises Refused (400) for what Oracle would not understand."""
        if version < 2:
            checks = [check for part in split(text) if (check := self._example(part)) is not None]
        else:
            checks = [_Expression(self, part).whole() for part in split(text)]
        return lambda row: all(check(row) for check in checks)

    def compare(self, name: str, op: str, literal: Any) -> Check:
        kind = self.known(name)
        if op == "like":
            pattern = re.compile(translate(str(literal).replace("%", "*").replace("[", "[[]")))
            return lambda row: row.get(name) is not None and pattern.match(str(row[name])) is not None
        wanted = self.value(name, kind, literal)
        return lambda row: _holds(_comparable(row.get(name), kind), op, wanted)

    def known(self, name: str) -> Type:
        if name not in self._attributes:
            raise bad(f"URL request parameter q with value {name} is not valid: unknown attribute {name}.")
        if name not in self._queryable:
            raise bad(f"Attribute {name} is not queryable.")
        return self._attributes[name]

    def value(self, name: str, kind: Type, literal: Any) -> Any:
        """The literal as the attribute's type; quotes must fit it."""
        quoted = isinstance(literal, str)
        if kind in ("integer", "number"):
            if quoted:
                raise bad(f"The value of attribute {name} is not a number.")
            return literal
        if not quoted:
            raise bad(f"The value of attribute {name} must be quoted.")
        if kind == "stamp":
            if not any(STYLES[style].fullmatch(literal) for style in self._styles):
                raise bad(f"The value {literal} for {name} is not a valid date.")
            when = datetime.fromisoformat(literal.replace("Z", "+00:00"))
            return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        if kind == "boolean":
            return literal.lower() == "true"
        return literal

    def _example(self, part: str) -> Check | None:
        match = _EXAMPLE.fullmatch(part)
        if match is None or re.search(r"\s(and|or)\s", match[3], re.IGNORECASE):
            return None  # framework 1 passes over what it does not know
        name, op, literal = match.groups()
        kind = self.known(name)
        if "*" in literal:
            return self.compare(name, "like", literal.strip("'"))
        text = literal.strip("'")
        return self.compare(name, op, Decimal(text) if kind in ("integer", "number") else text)


class _Expression:
    """One row-match expression, read from left to right."""

    def __init__(self, filters: Filters, text: str) -> None:
        self._filters, self._text, self._at = filters, text, 0

    def whole(self) -> Check:
        check = self._either()
        if self._text[self._at :].strip():
            raise self._bad()
        return check

    def _either(self) -> Check:
        checks = [self._both()]
        while self._word("or"):
            checks.append(self._both())
        return checks[0] if len(checks) == 1 else lambda row: any(check(row) for check in checks)

    def _both(self) -> Check:
        checks = [self._one()]
        while self._word("and"):
            checks.append(self._one())
        return checks[0] if len(checks) == 1 else lambda row: all(check(row) for check in checks)

    def _one(self) -> Check:
        if self._mark("("):
            check = self._either()
            if not self._mark(")"):
                raise self._bad()
            return check
        name = self._next("word")
        kind = self._filters.known(name)
        if self._word("is"):
            empty = not self._word("not")
            if not self._word("null"):
                raise self._bad()
            return lambda row: (row.get(name) in (None, "")) is empty
        if self._word("like"):
            return self._filters.compare(name, "like", self._literal())
        if self._word("between"):
            low = self._filters.value(name, kind, self._literal())
            if not self._word("and"):
                raise self._bad()
            high = self._filters.value(name, kind, self._literal())
            return lambda row: (told := _comparable(row.get(name), kind)) is not None and low <= told <= high
        if self._word("in"):
            return self._among(name)
        return self._filters.compare(name, self._next("op"), self._literal())

    def _among(self, name: str) -> Check:
        kind = self._filters.known(name)
        if not self._mark("("):
            raise self._bad()
        values = [self._filters.value(name, kind, self._literal())]
        while self._mark(","):
            values.append(self._filters.value(name, kind, self._literal()))
        if not self._mark(")"):
            raise self._bad()
        return lambda row: _comparable(row.get(name), kind) in values

    def _literal(self) -> Any:
        match = _TOKEN.match(self._text, self._at)
        if match is None or not (match["text"] or match["number"]):
            raise self._bad()
        self._at = match.end()
        return match["text"][1:-1].replace("''", "'") if match["text"] else Decimal(match["number"])

    def _next(self, group: str) -> str:
        match = _TOKEN.match(self._text, self._at)
        if match is None or not match[group]:
            raise self._bad()
        self._at = match.end()
        return match[group]

    def _word(self, word: str) -> bool:
        match = _TOKEN.match(self._text, self._at)
        if match is None or (match["word"] or "").lower() != word:
            return False
        self._at = match.end()
        return True

    def _mark(self, mark: str) -> bool:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["mark"] != mark:
            return False
        self._at = match.end()
        return True

    def _bad(self) -> Exception:
        return bad(f"URL request parameter q with value {self._text[:80]} is not valid.")


def _comparable(value: Any, kind: Type) -> Any:
    if value is None:
        return None
    return datetime.fromisoformat(value) if kind == "stamp" else value


def _holds(told: Any, op: str, wanted: Any) -> bool:
    if told is None:
        return False
    match op:
        case "=":
            return bool(told == wanted)
        case "!=" | "<>":
            return bool(told != wanted)
        case "<":
            return bool(told < wanted)
        case "<=":
            return bool(told <= wanted)
        case ">":
            return bool(told > wanted)
        case _:
            return bool(told >= wanted)
