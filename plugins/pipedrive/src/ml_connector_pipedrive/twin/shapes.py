"""What the entities hold, and the strict checks of values that API v2 makes: nothing is coerced, nothing unknown is let in."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

Check: TypeAlias = Callable[[Any], str]
"""Why a value is refused, "" for a good one."""

TEXT_LENGTH: Final = 255
LONG_TEXT: Final = 65_000
HASH: Final = re.compile(r"[0-9a-f]{40}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_CLOCK: Final = re.compile(r"\d\d:\d\d(:\d\d)?")
ADDRESS_PARTS: Final = (
    "value",
    "country",
    "admin_area_level_1",
    "admin_area_level_2",
    "locality",
    "sublocality",
    "route",
    "street_number",
    "subpremise",
    "postal_code",
)


def text(limit: int = TEXT_LENGTH, *, empty: bool = True) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            return "must be a string"
        if not empty and not value.strip():
            return "must not be empty"
        return f"must be at most {limit} characters" if len(value) > limit else ""

    return check


def number(value: Any) -> str:
    return "" if isinstance(value, int | Decimal) and not isinstance(value, bool) else "must be a number"


def integer(value: Any) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) else "must be an integer"


def boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be a boolean"


def day(value: Any) -> str:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return "must be a date in the format YYYY-MM-DD"
    return "" if len(value) == 10 else "must be a date in the format YYYY-MM-DD"


def instant(value: Any) -> str:
    return "" if isinstance(value, str) and _TIME.fullmatch(value) else "must be a date-time"


def one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}"


def maybe(check: Check) -> Check:
    return lambda value: "" if value is None else check(value)


def integers(value: Any) -> str:
    return "" if isinstance(value, list) and not any(map(integer, value)) else "must be an array of integers"


def address(value: Any) -> str:
    if not isinstance(value, dict):
        return "must be an object"
    if odd := set(value) - set(ADDRESS_PARTS):
        return f"Parameter '{min(odd)}' is not allowed for this request"
    if not isinstance(value.get("value"), str):
        return "value must be a string"
    return next(("parts must be strings" for part in value.values() if part is not None and not isinstance(part, str)), "")


def channels(value: Any) -> str:
    """E-mail addresses or phone numbers."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return "must be an array of objects"
    for one in value:
        if (
            set(one) - {"value", "primary", "label"}
            or text()(one.get("value"))
            or not isinstance(one.get("primary", False), bool)
        ):
            return "must hold value, primary and label"
    return "only one can be primary" if sum(bool(one.get("primary")) for one in value) > 1 else ""


def prices(value: Any) -> str:
    if not isinstance(value, list):
        return "must be an array"
    for price in value:
        if not isinstance(price, dict) or set(price) - {"currency", "price", "cost", "direct_cost", "notes"}:
            return "must hold currency, price, cost, direct_cost and notes"
        if text(3)(price.get("currency")) or number(price.get("price")):
            return "must hold a currency and a price"
    codes = [price["currency"] for price in value]
    return "one price per currency" if len(set(codes)) < len(codes) else ""


def time_of_day(value: Any) -> str:
    good = isinstance(value, dict) and set(value) <= {"value", "timezone_name"} and isinstance(value.get("value"), str)
    return "" if good and _CLOCK.fullmatch(value["value"]) else "must hold value and timezone_name"


def money(value: Any) -> str:
    if not isinstance(value, dict) or set(value) != {"value", "currency"}:
        return "must hold value and currency"
    return number(value["value"]) or text(3)(value["currency"])


CUSTOM: Final[Mapping[str, Check]] = {
    "varchar": text(),
    "varchar_auto": text(),
    "text": text(LONG_TEXT),
    "phone": text(),
    "double": number,
    "monetary": money,
    "enum": integer,
    "set": lambda value: integers(value) or ("" if value else "must not be empty"),
    "date": day,
    "time": time_of_day,
    "address": address,
    "org": integer,
    "people": integer,
    "user": integer,
}
"""Field type → check, ranges left out: nobody writes them here."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One entity: its names, and what may be written. A field of ``feature`` exists only where contact sync is on."""

    singular: str
    plural: str
    title: str
    writable: Mapping[str, Check]
    blank: Mapping[str, Any]  # what a new row holds unless told otherwise
    feature: tuple[str, ...] = ()
    search: str  # the scope that a list or a search of it asks for
    until: bool = True  # the list takes updated_until


ORGANIZATION: Final = Shape(
    singular="organization",
    plural="organizations",
    title="name",
    writable={
        "name": text(empty=False),
        "owner_id": integer,
        "add_time": instant,
        "visible_to": integer,
        "label_ids": integers,
        "address": maybe(address),
        "website": maybe(text()),
        "linkedin": maybe(text()),
        "industry": maybe(integer),
        "annual_revenue": maybe(integer),
        "employee_count": maybe(integer),
    },
    blank={
        "address": None,
        "website": None,
        "linkedin": None,
        "industry": None,
        "annual_revenue": None,
        "employee_count": None,
    },
    search="contacts",
)
PERSON: Final = Shape(
    singular="person",
    plural="persons",
    title="name",
    writable={
        "name": text(empty=False),
        "owner_id": integer,
        "org_id": maybe(integer),
        "add_time": instant,
        "emails": channels,
        "phones": channels,
        "visible_to": integer,
        "label_ids": integers,
        "job_title": maybe(text()),
        "notes": maybe(text(10_000)),
        "postal_address": maybe(address),
        "birthday": maybe(day),
    },
    blank={"org_id": None, "emails": [], "phones": [], "picture_id": None},
    feature=("job_title", "notes", "postal_address", "birthday"),
    search="contacts",
)
DEAL: Final = Shape(
    singular="deal",
    plural="deals",
    title="title",
    writable={
        "title": text(empty=False),
        "owner_id": integer,
        "person_id": maybe(integer),
        "org_id": maybe(integer),
        "pipeline_id": integer,
        "stage_id": integer,
        "value": number,
        "currency": text(3),
        "is_archived": boolean,
        "status": one_of("open", "won", "lost"),
        "probability": maybe(number),
        "lost_reason": maybe(text()),
        "visible_to": integer,
        "close_time": instant,
        "won_time": instant,
        "lost_time": instant,
        "expected_close_date": maybe(day),
        "label_ids": integers,
    },
    blank={
        "person_id": None,
        "org_id": None,
        "value": 0,
        "status": "open",
        "probability": None,
        "lost_reason": None,
        "close_time": None,
        "won_time": None,
        "lost_time": None,
        "expected_close_date": None,
        "is_archived": False,
        "archive_time": None,
        "origin": "API",
        "origin_id": None,
    },
    search="deals",
)
PRODUCT: Final = Shape(
    singular="product",
    plural="products",
    title="name",
    writable={
        "name": text(empty=False),
        "code": maybe(text()),
        "description": maybe(text(LONG_TEXT)),
        "unit": maybe(text()),
        "tax": number,
        "category": maybe(number),
        "owner_id": integer,
        "is_linkable": boolean,
        "visible_to": number,
        "prices": prices,
        "billing_frequency": one_of("one-time"),
    },
    blank={
        "code": None,
        "description": None,
        "unit": None,
        "tax": 0,
        "category": None,
        "is_linkable": True,
        "billing_frequency": "one-time",
        "billing_frequency_cycles": None,
    },
    search="products",
    until=False,
)
SHAPES: Final = {shape.plural: shape for shape in (ORGANIZATION, PERSON, DEAL, PRODUCT)}

LINE: Final[Mapping[str, Check]] = {
    "product_id": integer,
    "item_price": number,
    "quantity": number,
    "tax": number,
    "tax_method": one_of("exclusive", "inclusive", "none"),
    "discount": number,
    "discount_type": one_of("percentage", "amount"),
    "comments": maybe(text(LONG_TEXT)),
    "is_enabled": boolean,
    "product_variation_id": maybe(integer),
    "billing_frequency": one_of("one-time"),
    "billing_frequency_cycles": lambda value: "" if value is None else "must be null for one-time",
    "billing_start_date": maybe(day),
}
LINE_BLANK: Final[Mapping[str, Any]] = {
    "tax": 0,
    "tax_method": "exclusive",
    "discount": 0,
    "discount_type": "percentage",
    "comments": "",
    "is_enabled": True,
    "product_variation_id": None,
    "billing_frequency": "one-time",
    "billing_frequency_cycles": None,
    "billing_start_date": None,
}
