"""One value between Zoho and the trade's words: what reads it, what writes it, and what is refused before a call is spent.

Readers get a JSON value that is neither null nor empty text. So do a codec's writers; ``checked`` ones take what is empty, too,
and Zoho is told null. Pure.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ml_connector.domain import Kind, Ref
from ml_connector.errors import RecordRejected
from ml_connector_zoho_crm.coql import is_id
from ml_connector_zoho_crm.wire import Field

_PHONE: Final = re.compile(r"(?=.*[0-9A-Za-z])\+?[0-9A-Za-z ().,;#\-]+")
_EMAIL: Final = re.compile(r"[^@\s,;]+@[^@\s,;.]+(\.[^@\s,;.]+)+")
_WEBSITE: Final = re.compile(r"((https?|ftp)://)?[^\s/@.]+(\.[^\s/@.]+)+([/?#]\S*)?", re.IGNORECASE)
CONTACT_DATA: Final[dict[str, re.Pattern[str]]] = {"phone": _PHONE, "email": _EMAIL, "website": _WEBSITE}
"""Data types whose form Zoho checks. Looser than Zoho's own checks, so that nothing is refused that Zoho would take."""

_NUMBERS: Final = ("double", "currency", "percent", "decimal")
_WHOLE: Final = ("integer", "bigint")
_UNREADABLE: Final = ("subform", "fileupload", "imageupload", "profileimage", "multiselectlookup", "multiuserlookup", "linetax")
LIST_SEPARATOR: Final = ";"


class Codec(msgspec.Struct, frozen=True):
    """A reader and a writer of one kind of value."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


class Junk(RecordRejected):
    """A phone number, e-mail address or website in a form that Zoho refuses; may be blanked instead where the user says so."""


def instant(value: str) -> dt.datetime:
    """Zoho shows the user's offset; aware UTC here."""
    return dt.datetime.fromisoformat(value).astimezone(dt.UTC)


def _number(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _finite(value: Any) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise RecordRejected(f"{number} is not a number that Zoho can hold", code="INVALID_DATA")
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, str):  # bulk reads write it out
        return value.lower() == "true"
    return bool(value)


def _stamp(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).isoformat(timespec="seconds")


def _same(value: Any) -> Any:
    return value


TEXT: Final = Codec(read=str, write=str)
DECIMAL: Final = Codec(read=_number, write=_finite)
INTEGER: Final = Codec(read=int, write=int)
BOOLEAN: Final = Codec(read=_flag, write=bool)
DATE: Final = Codec(read=lambda value: dt.date.fromisoformat(value[:10]), write=lambda value: value.isoformat()[:10])
INSTANT: Final = Codec(read=instant, write=_stamp)
CHOICES: Final = Codec(
    read=lambda value: LIST_SEPARATOR.join(map(str, value)) if isinstance(value, list) else str(value),
    write=lambda value: [part.strip() for part in str(value).split(LIST_SEPARATOR)],
)
"""Multi-select picklists as one text, "A;B"."""
LOOKUP_ID: Final = Codec(
    read=lambda value: str(value["id"]) if isinstance(value, dict) else str(value), write=lambda value: {"id": str(value)}
)


def lookup(kind: Kind) -> Codec:
    """Another record: {"id": …} over there, a Ref here."""

    def write(ref: Ref) -> dict[str, str]:
        if not is_id(ref.key):
            raise RecordRejected(f"{ref.key!r} is not the id of a record in Zoho", code="INVALID_DATA")
        return {"id": ref.key}

    return Codec(read=lambda value: Ref(kind, str(value["id"] if isinstance(value, dict) else value)), write=write)


def words(ours_to_theirs: Mapping[str, str], unknown: str) -> Codec:
    """A closed vocabulary here, a picklist there; where several of ours share one of theirs, the first comes back."""
    back: dict[str, str] = {}
    for ours, theirs in ours_to_theirs.items():
        back.setdefault(theirs, ours)
    return Codec(read=lambda value: back.get(value, unknown), write=lambda value: ours_to_theirs.get(value, value))


def custom(field: Field) -> Codec | None:
    """How a custom field's values travel as ``extra.NAME``; None for what is no single value."""
    kind = field.data_type
    if kind in _UNREADABLE or (field.json_type in ("jsonarray",) and kind != "multiselectpicklist"):
        return None
    if kind in _NUMBERS:
        return DECIMAL
    by_type = {
        "integer": INTEGER,
        "boolean": BOOLEAN,
        "date": DATE,
        "datetime": INSTANT,
        "multiselectpicklist": CHOICES,
        "lookup": LOOKUP_ID,
        "userlookup": LOOKUP_ID,
        "ownerlookup": LOOKUP_ID,
    }
    if kind in by_type:
        return by_type[kind]
    if kind in ("formula", "rollup_summary"):  # computed; the JSON type says what comes out
        return {"double": DECIMAL, "integer": INTEGER, "boolean": BOOLEAN}.get(field.json_type or "", TEXT)
    return None if field.json_type == "jsonobject" else TEXT


def _whole(number: Decimal, name: str) -> int:
    if number != number.to_integral_value():
        raise RecordRejected(f"{number} has a fraction, and the field {name} takes whole numbers", code="INVALID_DATA")
    return int(number)


def is_empty(value: Any) -> bool:
    """Whether Zoho is told null. A Decimal that is compared with text first asks at length whether that is a number."""
    return value is None or (type(value) is str and not value)


def checked(codec: Codec, field: Field) -> Callable[[Any], Any]:
    """The codec's writer, behind it what the field's own metadata forbids (length, choices, form), and null for what is empty.

    Never cuts anything.
    """
    write, name = codec.write, field.api_name
    kind, length, choices = field.data_type, field.length, field.choices
    form = CONTACT_DATA.get(kind)
    if kind not in ("picklist", "multiselectpicklist") or name == "Currency":  # currencies are a list of their own
        choices = frozenset()

    def written(value: Any) -> Any:
        if is_empty(value):
            return None
        try:
            out = write(value)
        except (ValueError, TypeError, InvalidOperation, AttributeError) as error:
            raise RecordRejected(f"{value!r} does not fit the field {name} ({kind})", code="INVALID_DATA") from error
        if type(out) is Decimal and kind in _WHOLE:
            return _whole(out, name)
        if choices:
            for part in out if isinstance(out, list) else (out,):
                if part not in choices:
                    raise _unknown_choice(part, name, choices)
        elif type(out) is str:
            if length and len(out) > length:
                raise RecordRejected(
                    f"{len(out)} characters, and the field {name} takes {length}",
                    code="INVALID_DATA",
                    fix="Shorten the text at its source, or lengthen the field in Zoho CRM",
                )
            if form and not form.fullmatch(out):
                raise Junk(
                    f"{out!r} is no {kind} as the field {name} takes it",
                    code="INVALID_DATA",
                    fix='Mend it at its source, or set on_bad_contact_data = "blank"',
                )
        return out

    if choices or form or kind in _WHOLE:
        return written
    return _quick(codec, length or 0, written)


def _quick(codec: Codec, length: int, written: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The writer with a short way for the plain value of its type: nine tenths of all cells, and most of a write's time."""
    if codec is TEXT:

        def text(value: Any) -> Any:
            return value if type(value) is str and value and (not length or len(value) <= length) else written(value)

        return text
    if codec is DECIMAL:

        def decimal(value: Any) -> Any:
            return value if type(value) is Decimal and value.is_finite() else written(value)

        return decimal
    if codec is DATE:

        def date(value: Any) -> Any:
            return value.isoformat() if type(value) is dt.date else written(value)

        return date
    return written


def _unknown_choice(value: Any, name: str, choices: frozenset[str]) -> RecordRejected:
    shown = ", ".join(f'"{choice}"' for choice in sorted(choices)[:12]) + (", …" if len(choices) > 12 else "")
    return RecordRejected(
        f'"{value}" is not among the choices of the field {name}: {shown}',
        code="INVALID_DATA",
        fix="Add the choice in Zoho CRM, or map the value in the flow",
    )
