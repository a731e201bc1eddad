"""Plain data to Structs, every mistake collected. msgspec alone would stop at the first one."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from ml_connector.errors import ConnectorError
from ml_connector.ports.secrets import Secret
from ml_connector_adapters.config.kinds import (
    MAPPINGS,
    SEQUENCES,
    either,
    expected,
    is_struct,
    metas,
    options_of,
    origin_of,
    shown,
    tag_field,
)
from ml_connector_adapters.words import nearest

T = TypeVar("T")

BAD: Final[Any] = object()
"""Stands for a value that was a mistake, which has been told already."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_USER: Final = re.compile(r"(?<=//)[^/@\s\"']*@")  # user:password@ in an address


class Mistakes:
    """One line per mistake: ``path: what was found. what is allowed``. Passwords in addresses are taken out."""

    def __init__(self, prefix: str = "") -> None:
        self.lines: list[str] = []
        self._prefix = prefix

    def add(self, path: str, what: str) -> None:
        self.lines.append(self._prefix + _USER.sub("…@", f"{path}: {what}" if path else what))

    def __len__(self) -> int:
        return len(self.lines)


def join(path: str, key: str) -> str:
    """``path.key`` as TOML writes it; a key with dots or blanks stands in quotes."""
    shown = key if _BARE.fullmatch(key) else f'"{key}"'
    return f"{path}.{shown}" if path else shown


def misspelt(found: Iterable[str], known: Iterable[str]) -> set[str]:
    """What the unknown names probably mean: told as a misspelling once, it is not told again as missing."""
    names = list(known)
    return {near for key in found if key not in names for near in get_close_matches(key, names, n=1)}


def span(text: str) -> dt.timedelta:
    """Read "90s", "15m", "1h" or "1d". Raises ValueError."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if match is None or not int(match[1]):
        raise ValueError(f'"{text[:40]}" is no span of time. Write a whole number and s, m, h or d: "15m"')
    return dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]])


class Decoder:
    """Decodes values by their types, generically over Structs, unions, lists and tables; tells mistakes to ``mistakes``."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes

    def struct(self, found: Any, kind: type[T], path: str) -> T:
        """An instance of the Struct, or BAD. What its ``__post_init__`` refuses is a mistake too."""
        before = len(self.mistakes)
        values = self.fields(found, kind, path)
        if len(self.mistakes) > before:
            return BAD  # type: ignore[no-any-return]
        try:
            return kind(**values)
        except (ValueError, TypeError, ConnectorError) as error:
            self.mistakes.add(*_placed(path, str(error), values))
            return BAD  # type: ignore[no-any-return]

    def fields(self, found: Any, kind: type, path: str) -> dict[str, Any]:
        """The good ones among a Struct's fields, by their names in Python; everything else is a mistake told."""
        if not isinstance(found, dict):
            self.mistakes.add(path, f"found {shown(found, path)}. Expected a table")
            return {}
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        values: dict[str, Any] = {}
        for key, value in found.items():
            if key in fields:
                decoded = self.value(value, fields[key].type, join(path, key))
                if decoded is not BAD:
                    values[fields[key].name] = decoded
            elif key != tag_field(kind):
                self.mistakes.add(join(path, key), f"unknown setting{nearest(key, fields)}")
        meant = misspelt(found, fields)
        for key, field in fields.items():
            if field.required and key not in found and key not in meant:
                self.mistakes.add(join(path, key), f"missing. Expected {expected(field.type)}")
        return values

    def value(self, found: Any, kind: Any, path: str) -> Any:
        """The value as ``kind`` wants it, or BAD."""
        options = options_of(kind)
        if Secret in options:
            return self._secret(found, path)
        if isinstance(found, dict):
            structs = [option for option in options if is_struct(option)]
            if structs:
                return self._one_of(found, structs, path)
            table = next((option for option in options if origin_of(option) in MAPPINGS), None)
            if table is not None:
                return self._table(found, kind, table, path)
        if isinstance(found, list):
            sequence = next((option for option in options if origin_of(option) in SEQUENCES), None)
            if sequence is not None:
                return self._sequence(found, kind, sequence, path)
        return self._leaf(found, kind, options, path)

    def _secret(self, found: Any, path: str) -> Any:
        """A reference to a secret. Anything else may be the secret itself, so that it is never repeated."""
        try:
            secret = Secret(found if isinstance(found, str) else "")
        except ValueError:
            secret = None
        if secret is not None and secret.reference.partition(":")[2]:
            return secret
        vault = path.removeprefix("connections.").replace(".", "/")
        self.mistakes.add(
            path,
            f'a secret is never written out here. Write "secret:{vault}" and keep it with "ml-connector secrets set {vault}", '
            'or write "env:NAME" or "file:PATH"',
        )
        return BAD

    def _one_of(self, found: dict[str, Any], structs: list[Any], path: str) -> Any:
        """A table for one of several Structs, told apart by their tag."""
        if len(structs) == 1:
            return self.struct(found, structs[0], path)
        tag = tag_field(structs[0]) or "type"
        choices = {str(struct.__struct_config__.tag): struct for struct in structs}
        chosen = choices.get(str(found.get(tag)))
        if chosen is None:
            self.mistakes.add(join(path, tag), f"{shown(found.get(tag), path)} is not known. Expected {either(choices)}")
            return BAD
        return self.struct(found, chosen, path)

    def _table(self, found: dict[str, Any], kind: Any, table: Any, path: str) -> Any:
        key_kind, value_kind = get_args(table) or (str, Any)
        decoded: dict[Any, Any] = {}
        for key, value in found.items():
            name = self._leaf(key, key_kind, options_of(key_kind), join(path, key))
            if isinstance(value, dict) and options_of(value_kind) == [str]:  # as TOML reads billing.city = …
                dotted = f"{key}.{next(iter(value), '…')}"
                self.mistakes.add(join(path, key), f'found a table. A name with dots stands in quotes: "{dotted}"')
                continue
            item = self.value(value, value_kind, join(path, key))
            if name is not BAD and item is not BAD:
                decoded[name] = item
        whole = len(decoded) == len(found) and self._sized(found, kind, path)
        return decoded if whole else BAD

    def _sequence(self, found: list[Any], kind: Any, sequence: Any, path: str) -> Any:
        kinds = get_args(sequence) or (Any,)
        origin = origin_of(sequence)
        fixed = origin is tuple and Ellipsis not in kinds
        if fixed and len(kinds) != len(found):
            self.mistakes.add(path, f"found {len(found)} values. Expected {len(kinds)}")
            return BAD
        wanted = kinds if fixed else [kinds[0]] * len(found)
        items = [self.value(item, each, f"{path}[{at}]") for at, (item, each) in enumerate(zip(found, wanted, strict=True))]
        if any(item is BAD for item in items) or not self._sized(found, kind, path):
            return BAD
        return list(items) if origin in (list, Sequence) else origin(items)

    def _sized(self, found: Any, kind: Any, path: str) -> bool:
        """Whether what Annotated says about the size of a list or table holds."""
        count = len(found)
        for meta in metas(kind):
            if count < (meta.min_length or 0) or (meta.max_length is not None and count > meta.max_length):
                self.mistakes.add(path, f"found {count} entries. Expected {expected(kind)}")
                return False
        return True

    def _leaf(self, found: Any, kind: Any, options: list[Any], path: str) -> Any:
        before = len(self.mistakes)
        self._forbid_plain_http(found, path)
        if len(self.mistakes) > before:
            return BAD
        if Any in options:
            return _without_decimals(found)
        if options and all(get_origin(option) is Literal for option in options):
            choices = [choice for option in options for choice in get_args(option)]
            if any(found == choice and type(found) is type(choice) for choice in choices):
                return found
            self.mistakes.add(path, f"{shown(found, path)} is not known{nearest(str(found), map(str, choices))}")
            return BAD
        try:
            if dt.timedelta in options and isinstance(found, str):
                return span(found)
            if isinstance(found, Decimal) and not found.is_finite():
                raise ValueError("not a number")
            return msgspec.convert(found, kind)
        except (ValueError, TypeError, NotImplementedError):
            self.mistakes.add(path, f"found {shown(found, path)}. Expected {expected(kind)}")
            return BAD

    def _forbid_plain_http(self, found: Any, path: str) -> None:
        """Tokens and customers' data travel to every address in the file: over https, or not at all."""
        if isinstance(found, dict):
            for key, value in found.items():
                self._forbid_plain_http(value, join(path, key))
        elif isinstance(found, list):
            for at, item in enumerate(found):
                self._forbid_plain_http(item, f"{path}[{at}]")
        elif isinstance(found, str) and found[:7].lower() == "http://":
            from ml_connector_adapters.http.hosts import host_of, is_loopback

            host = host_of(found)
            if not is_loopback(host):
                where = f"to {host}" if host else "to a host that cannot be told"
                self.mistakes.add(path, f"plain http {where}. Use https; http is for this machine only")


def _without_decimals(found: Any) -> Any:
    """Data without a type keeps JSON's types."""
    if isinstance(found, dict):
        return {key: _without_decimals(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_without_decimals(item) for item in found]
    return float(found) if isinstance(found, Decimal) else found


def _placed(path: str, told: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """A plugin's refusal that begins with one of its settings ("limits.concurrency: …") is told at that setting."""
    setting, colon, rest = told.partition(": ")
    if colon and setting.partition(".")[0] in values:
        return f"{path}.{setting}", rest
    return path, told
