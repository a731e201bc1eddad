"""Plain data to Structs, every mistake collected. msgspec alone would stop at the first one."""

import datetime as dt
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from ml_connector.errors import ConnectorError
from ml_connector.ports.secrets import Secret
from ml_connector_adapters.words import nearest

T = TypeVar("T")

BAD: Final[Any] = object()
"""Stands for a value that was a mistake, which has been told already."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_USER: Final = re.compile(r"(?<=//)[^/@\s\"']*@")  # user:password@ in an address
_DELICATE: Final = re.compile(r"secret|password|token|key|credential", re.IGNORECASE)
_SEQUENCES: Final = (list, tuple, set, frozenset, Sequence)
_MAPPINGS: Final = (dict, Mapping)
_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    dt.date: "a date",
    dt.datetime: "a date with time",
    dt.timedelta: 'a span of time such as "15m"',
}
_BOUNDS: Final = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "pattern": "matching"}


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
            elif key != _tag_field(kind):
                self.mistakes.add(join(path, key), f"unknown setting{nearest(key, fields)}")
        for key, field in fields.items():
            if field.required and key not in found:
                self.mistakes.add(join(path, key), f"missing. Expected {expected(field.type)}")
        return values

    def value(self, found: Any, kind: Any, path: str) -> Any:
        """The value as ``kind`` wants it, or BAD."""
        options = _options(kind)
        if Secret in options:
            return self._secret(found, path)
        if isinstance(found, dict):
            structs = [option for option in options if _is_struct(option)]
            if structs:
                return self._one_of(found, structs, path)
            table = next((option for option in options if _origin(option) in _MAPPINGS), None)
            if table is not None:
                return self._table(found, kind, table, path)
        if isinstance(found, list):
            sequence = next((option for option in options if _origin(option) in _SEQUENCES), None)
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
        connection, _, name = path.removeprefix("connections.").rpartition(".")
        vault = f"{connection}/{name}".replace(".", "/")
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
        tag = _tag_field(structs[0]) or "type"
        choices = {str(struct.__struct_config__.tag): struct for struct in structs}
        chosen = choices.get(str(found.get(tag)))
        if chosen is None:
            self.mistakes.add(join(path, tag), f"{shown(found.get(tag), path)} is not known. Expected {_either(choices)}")
            return BAD
        return self.struct(found, chosen, path)

    def _table(self, found: dict[str, Any], kind: Any, table: Any, path: str) -> Any:
        key_kind, value_kind = get_args(table) or (str, Any)
        decoded: dict[Any, Any] = {}
        for key, value in found.items():
            name = self._leaf(key, key_kind, _options(key_kind), join(path, key))
            item = self.value(value, value_kind, join(path, key))
            if name is not BAD and item is not BAD:
                decoded[name] = item
        whole = len(decoded) == len(found) and self._sized(found, dict[str, Any], kind, path)
        return decoded if whole else BAD

    def _sequence(self, found: list[Any], kind: Any, sequence: Any, path: str) -> Any:
        kinds = get_args(sequence) or (Any,)
        origin = _origin(sequence)
        fixed = origin is tuple and Ellipsis not in kinds
        if fixed and len(kinds) != len(found):
            self.mistakes.add(path, f"found {len(found)} values. Expected {len(kinds)}")
            return BAD
        wanted = kinds if fixed else [kinds[0]] * len(found)
        items = [self.value(item, each, f"{path}[{at}]") for at, (item, each) in enumerate(zip(found, wanted, strict=True))]
        if any(item is BAD for item in items) or not self._sized(found, list[Any], kind, path):
            return BAD
        return list(items) if origin in (list, Sequence) else origin(items)

    def _sized(self, found: Any, plain: Any, kind: Any, path: str) -> bool:
        """Whether what Annotated says about the size of a list or table holds."""
        for meta in _metas(kind):
            try:
                msgspec.convert(found, Annotated[plain, meta])
            except msgspec.ValidationError:
                self.mistakes.add(path, f"found {len(found)} entries. Expected {expected(kind)}")
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


def shown(found: Any, path: str) -> str:
    """A value in a message: shortened, and only what it is where its name sounds like a secret."""
    if isinstance(found, dict):
        return "a table"
    if isinstance(found, list):
        return "a list"
    if isinstance(found, bool):
        return str(found).lower()
    if found is None:
        return "nothing"
    if _DELICATE.search(path.rpartition(".")[2]):
        return _WORDS.get(type(found), "a value")
    return f'"{found[:40]}{"…" if len(found) > 40 else ""}"' if isinstance(found, str) else str(found)


def expected(kind: Any) -> str:
    """A type in words: ``a whole number of at least 1``."""
    options = _options(kind)
    words: list[str] = []
    for option in options:
        if get_origin(option) is Literal:
            word = _either(get_args(option))
        elif option is Secret:
            word = 'a reference to a secret: "secret:NAME", "env:NAME" or "file:PATH"'
        elif _is_struct(option) or _origin(option) in _MAPPINGS:
            word = "a table"
        elif _origin(option) in _SEQUENCES:
            word = "a list"
        else:
            word = _WORDS.get(option, getattr(option, "__name__", str(option)))
        if word not in words:
            words.append(word)
    bounds = [
        f"{told} {bound}" for meta in _metas(kind) for name, told in _BOUNDS.items() if (bound := getattr(meta, name)) is not None
    ]
    lengths = [
        f"{told} {bound} {'characters' if str in options else 'entries'}"
        for meta in _metas(kind)
        for told, bound in (("with at least", meta.min_length), ("with at most", meta.max_length))
        if bound is not None
    ]
    return " ".join(filter(None, [" or ".join(words) or "a value", " and ".join([*bounds, *lengths])]))


def _either(choices: Iterable[Any]) -> str:
    return " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)


def _options(kind: Any) -> list[Any]:
    """The members of a union without None, each without its annotations."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [option for member in get_args(kind) if member is not type(None) for option in _options(member)]
    return [] if kind is type(None) or kind is msgspec.UnsetType else [kind]


def _metas(kind: Any) -> list[msgspec.Meta]:
    if get_origin(kind) is Annotated:
        own = [meta for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]
        return [*_metas(get_args(kind)[0]), *own]
    if get_origin(kind) in (Union, types.UnionType):
        return [meta for member in get_args(kind) for meta in _metas(member)]
    return []


def _origin(kind: Any) -> Any:
    return get_origin(kind) or kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _tag_field(kind: Any) -> str | None:
    field: str | None = kind.__struct_config__.tag_field
    return field


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
