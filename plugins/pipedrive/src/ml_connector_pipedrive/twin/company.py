"""The company's data and its rules: four entities, lines of deals, custom fields, pipelines, soft deletion, and who is told."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, Literal

from ml_connector.twin import TwinClock
from ml_connector_pipedrive.twin.shapes import ADDRESS_PARTS, CUSTOM, HASH, LINE, LINE_BLANK, SHAPES, Check, Shape
from ml_connector_pipedrive.twin.tables import Change, Field, Table
from ml_connector_pipedrive.twin.wire import Refused, Row, invalid, refused, stamp, unknown_parameter

ROBOT, PERSON = 990045, 990046
LISTED: Final = timedelta(days=30)
"""How long a deleted deal is listed, and anything deleted kept."""
_STANDARD: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "organizations": {
        "name": ("Name", "varchar"),
        "owner_id": ("Owner", "user"),
        "address": ("Address", "address"),
        "label_ids": ("Labels", "set"),
        "website": ("Website", "varchar"),
        "linkedin": ("LinkedIn profile", "varchar"),
        "industry": ("Industry", "enum"),
        "annual_revenue": ("Annual revenue", "double"),
        "employee_count": ("Number of employees", "double"),
    },
    "persons": {"name": ("Name", "varchar"), "owner_id": ("Owner", "user"), "org_id": ("Organization", "org")},
    "deals": {
        "title": ("Title", "varchar"),
        "value": ("Value", "monetary"),
        "org_id": ("Organization", "org"),
        "person_id": ("Contact person", "people"),
        "expected_close_date": ("Expected close date", "date"),
    },
    "products": {"name": ("Name", "varchar"), "code": ("Product code", "varchar"), "unit": ("Unit", "varchar")},
}
_CONTACT_SYNC: Final = {
    "job_title": ("Job title", "varchar"),
    "notes": ("Notes", "text"),
    "postal_address": ("Postal address", "address"),
    "birthday": ("Birthday", "date"),
}
_INDUSTRIES: Final = ("Manufacturing", "Retail", "Technology")


class Company:
    """One Pipedrive company. Values are JSON's, fractions are Decimal, times aware datetimes."""

    def __init__(self, clock: TwinClock, *, currency: str, contact_sync: bool) -> None:
        self.clock, self.currency, self.contact_sync = clock, currency, contact_sync
        self.currencies = ["AUD", "CAD", "CHF", "DKK", "EUR", "GBP", "INR", "JPY", "NOK", "PLN", "SEK", "USD"]
        self.tables = {plural: Table() for plural in SHAPES}
        self.lines: dict[int, Row] = {}
        self.fields: dict[str, dict[str, Field]] = {plural: self._standard(plural) for plural in SHAPES}
        self.pipelines: dict[int, Row] = {}
        self.stages: dict[int, Row] = {}
        self.listeners: list[Callable[[Change], None]] = []
        self.unique_codes = False
        self.bulk_is_atomic = True  # nobody knows
        self.lines_move_deal = False  # whether a line's change alone moves the deal's update_time: nobody knows
        self.cents: Decimal | None = Decimal("0.01")  # nor whether values and sums are rounded
        self._line_ids = self._made_fields = 0
        self.add_pipeline("Sales", "Qualified", "Contact Made", "Proposal Made", "Negotiations Started")

    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    # -- schema

    def _standard(self, plural: str) -> dict[str, Field]:
        known = {**_STANDARD[plural], **(_CONTACT_SYNC if plural == "persons" and self.contact_sync else {})}
        fields = {code: Field(code, name, kind, None, False) for code, (name, kind) in known.items()}
        if "industry" in fields:
            fields["industry"].options = [{"id": at, "label": label} for at, label in enumerate(_INDUSTRIES, 1)]
        return fields

    def add_field(self, plural: str, name: str, kind: str = "varchar", options: Iterable[str] = ()) -> Field:
        """A custom field under a key that nobody can guess. Names need not be unique."""
        self._made_fields += 1
        code = hashlib.sha1(f"{plural}/{name}/{self._made_fields}".encode(), usedforsecurity=False).hexdigest()
        field = Field(code, name, kind, [] if kind in ("enum", "set") else None)
        self.fields[plural][code] = field
        self.add_options(field, options)
        return field

    def add_options(self, field: Field, labels: Iterable[str]) -> None:
        if field.options is not None:
            field.options += [
                {"id": 10 * self._made_fields + len(field.options) + at, "label": label} for at, label in enumerate(labels)
            ]

    def remove_field(self, plural: str, name: str) -> None:
        for code in [code for code, field in self.fields[plural].items() if field.name == name and field.custom]:
            del self.fields[plural][code]
            for row in self.tables[plural].rows.values():
                row["custom_fields"].pop(code, None)

    def add_pipeline(self, name: str, *stages: str) -> int:
        pipeline = len(self.pipelines) + 1
        self.pipelines[pipeline] = {"id": pipeline, "name": name, "order_nr": pipeline, "is_deleted": False}
        for at, stage in enumerate(stages, 1):
            self.stages[len(self.stages) + 1] = {
                "id": len(self.stages) + 1,
                "order_nr": at,
                "name": stage,
                "is_deleted": False,
                "deal_probability": 100,
                "pipeline_id": pipeline,
            }
        return pipeline

    # -- writing

    def create(self, plural: str, body: Row, user: int, source: Literal["app", "api"] = "api") -> Row:
        """Raises Refused."""
        shape = SHAPES[plural]
        values = self._checked(shape, body, shape.title not in body)
        now = self.now()
        row: Row = {
            "id": self.tables[plural].next_id(),
            **shape.blank,
            "owner_id": user,
            "add_time": now,
            "update_time": now,
            "is_deleted": False,
            "visible_to": 3,
            "label_ids": [],
            "custom_fields": {},
        }
        if plural == "deals":
            first = min((stage for stage in self.stages.values()), key=lambda stage: stage["id"])
            row |= {
                "creator_user_id": user,
                "stage_id": first["id"],
                "pipeline_id": first["pipeline_id"],
                "currency": self.currency,
            }
        if plural == "products":
            row["prices"] = [{"currency": self.currency, "price": 0, "cost": 0, "direct_cost": 0, "notes": ""}]
        row = self._applied(shape, row, values)
        self._keep(shape, None, row, user, source)
        return row

    def change(self, plural: str, record_id: int, body: Row, user: int, source: Literal["app", "api"] = "api") -> Row:
        """Raises Refused. A change without effect moves nothing and tells nobody."""
        shape, row = SHAPES[plural], self.living(plural, record_id)
        changed = self._applied(shape, row, self._checked(shape, body, False))
        if changed == row:
            return row
        changed["update_time"] = self.now()
        self._keep(shape, row, changed, user, source)
        return changed

    def delete(self, plural: str, record_id: int, user: int, source: Literal["app", "api"] = "api") -> None:
        row = self.living(plural, record_id)
        gone = {**row, "is_deleted": True, "update_time": self.now()}
        self.tables[plural].keep(gone, self.clock.now())
        self._tell(Change(SHAPES[plural].singular, "delete", row, None, user, source))

    def living(self, plural: str, record_id: int) -> Row:
        """Raises Refused (404)."""
        row = self.tables[plural].rows.get(record_id)
        if row is None or row["is_deleted"]:
            raise refused(404, f"{SHAPES[plural].singular.capitalize()} not found", code="ERR_NOT_FOUND")
        return row

    def _keep(self, shape: Shape, before: Row | None, after: Row, user: int, source: Literal["app", "api"]) -> None:
        self.tables[shape.plural].keep(after, self.clock.now())
        self._tell(Change(shape.singular, "change" if before else "create", before, after, user, source))

    def _tell(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)

    def _checked(self, shape: Shape, body: Row, untitled: bool) -> Row:
        if untitled:
            raise invalid(shape.title, f"{shape.title} is required")
        for name, value in body.items():
            if name == "custom_fields":
                self._check_custom(shape.plural, value)
                continue
            if name not in shape.writable:
                raise unknown_parameter(name)
            if name in shape.feature and not self.contact_sync:
                raise refused(403, f"{name} can only be used when contact sync is enabled")
            _must(name, shape.writable[name], value)
        for name, plural in (("org_id", "organizations"), ("person_id", "persons")):
            other = body.get(name)
            if other is not None and self.tables[plural].rows.get(other, {"is_deleted": True})["is_deleted"]:
                raise invalid(name, "the referenced record was not found")
        if body.get("industry") is not None and body["industry"] not in {
            option["id"] for option in self.fields["organizations"]["industry"].options or ()
        }:
            raise invalid("industry", "unknown option")
        for code in (body.get("currency"), *(price["currency"] for price in body.get("prices", ()))):
            if code is not None and code not in self.currencies:
                raise invalid("currency", f"{code} is not an active currency")
        return body

    def _check_custom(self, plural: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise invalid("custom_fields", "must be an object")
        for code, value in values.items():
            field, place = self.fields[plural].get(code), f"custom_fields.{code}"
            if field is None or not HASH.fullmatch(code):
                raise unknown_parameter(place)
            if value is None:
                continue
            _must(place, CUSTOM.get(field.type, lambda _: "this type is not modelled"), value)
            known = {option["id"] for option in field.options or ()}
            if field.options is not None and not known >= set(value if isinstance(value, list) else [value]):
                raise invalid(place, "unknown option")
            if field.type == "monetary" and value["currency"] not in self.currencies:
                raise invalid(place, f"{value['currency']} is not an active currency")

    def _applied(self, shape: Shape, row: Row, values: Row) -> Row:
        """The row after the change, still to be kept."""
        custom = {**row["custom_fields"], **values.get("custom_fields", {})}
        changed: Row = {**row, **values, "custom_fields": {code: value for code, value in custom.items() if value is not None}}
        for name in ("address", "postal_address"):
            if isinstance(values.get(name), dict):  # parts that are left out become null
                changed[name] = {part: values[name].get(part) for part in ADDRESS_PARTS}
        for name in ("emails", "phones"):
            if name in values:
                changed[name] = _channels(values[name])
        if shape.plural == "deals":
            self._deal(row, changed, values)
        if shape.plural == "products" and self.unique_codes and changed["code"]:
            others = (other for other in self.tables["products"].living() if other["id"] != row["id"])
            if changed["code"] in {other["code"] for other in others}:
                raise invalid("code", "Product code must be unique")
        return changed

    def _deal(self, row: Row, changed: Row, values: Row) -> None:
        if "pipeline_id" in values and values["pipeline_id"] not in self.pipelines:
            raise invalid("pipeline_id", "unknown pipeline")
        if "pipeline_id" in values and "stage_id" not in values and values["pipeline_id"] != row["pipeline_id"]:
            own = [stage for stage in self.stages.values() if stage["pipeline_id"] == values["pipeline_id"]]
            changed["stage_id"] = min(own, key=lambda stage: stage["order_nr"])["id"]
        stage = self.stages.get(changed["stage_id"])
        if stage is None or stage["pipeline_id"] != changed["pipeline_id"]:
            raise invalid("stage_id", "the stage is not one of the pipeline's")
        if changed["stage_id"] != row["stage_id"]:
            changed["stage_change_time"] = self.now()
        status = changed["status"]
        if values.get("lost_reason") is not None and status != "lost":
            raise invalid("lost_reason", "lost_reason can only be set for lost deals")
        for name, wanted in (("won_time", "won"), ("lost_time", "lost"), ("close_time", "closed")):
            if name in values and status != wanted and (wanted != "closed" or status == "open"):
                raise invalid(name, f"{name} cannot be set for a deal that is {status}")
        if status != row["status"] or "add_time" not in row:
            now = self.now()
            changed |= {
                "won_time": now if status == "won" else None,
                "lost_time": now if status == "lost" else None,
                "close_time": None if status == "open" else now,
                "lost_reason": changed["lost_reason"] if status == "lost" else None,
            }
        if "value" in values:
            changed["value"] = self._rounded(values["value"])
        if changed["is_archived"] != row["is_archived"]:
            changed["archive_time"] = self.now() if changed["is_archived"] else None
        for line in self.lines_of(row["id"]):
            changed["value"], line["currency"] = row["value"], changed["currency"]  # the lines say it

    # -- lines

    def lines_of(self, deal: int) -> Iterator[Row]:
        return (line for line in self.lines.values() if line["deal_id"] == deal)

    def add_line(self, deal: int, body: Row, user: int, source: Literal["app", "api"] = "api") -> Row:
        """Raises Refused."""
        owner = self.living("deals", deal)
        for name in ("product_id", "item_price", "quantity"):
            if name not in body:
                raise invalid(name, f"{name} is required")
        self._check_line(body)
        self._line_ids += 1
        now = self.now()
        line: Row = {
            "id": self._line_ids,
            "deal_id": deal,
            "order_nr": 1 + sum(1 for _ in self.lines_of(deal)),
            "currency": owner["currency"],
            "add_time": now,
            "update_time": now,
            **LINE_BLANK,
            **body,
            "name": self.tables["products"].rows[body["product_id"]]["name"],
        }
        self._settle_line(None, line, user, source)
        return line

    def change_line(self, deal: int, line_id: int, body: Row, user: int, source: Literal["app", "api"] = "api") -> Row:
        line = self._line(deal, line_id)
        self._check_line(body)
        changed = {**line, **body}
        changed["name"] = self.tables["products"].rows[changed["product_id"]]["name"]
        if changed == line:
            return line
        changed["update_time"] = self.now()
        self._settle_line(line, changed, user, source)
        return changed

    def remove_line(self, deal: int, line_id: int, user: int, source: Literal["app", "api"] = "api") -> None:
        line = self._line(deal, line_id)
        del self.lines[line_id]
        self._sum_up(deal, user, source)
        self._tell(Change("deal_product", "delete", line, None, user, source))

    def fitting_lines(self, deal: int, bodies: list[Any]) -> list[Row]:
        """What a bulk call adds: all or, raising Refused, nothing; the good ones alone where ``bulk_is_atomic`` is off."""
        self.living("deals", deal)
        fitting = []
        for body in bodies:
            try:
                self._check_line(body)
            except Refused:
                if self.bulk_is_atomic:
                    raise
                continue
            fitting.append(body)
        return fitting

    def _line(self, deal: int, line_id: int) -> Row:
        self.living("deals", deal)
        line = self.lines.get(line_id)
        if line is None or line["deal_id"] != deal:
            raise refused(404, "Deal product not found", code="ERR_NOT_FOUND")
        return line

    def _check_line(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise invalid("data", "must be an object")
        for name, value in body.items():
            if name not in LINE:
                raise unknown_parameter(name)
            _must(name, LINE[name], value)
        product = self.tables["products"].rows.get(body.get("product_id", 0))
        if "product_id" in body and (product is None or product["is_deleted"] or not product["is_linkable"]):
            raise invalid("product_id", "the product was not found or cannot be added to deals")

    def _settle_line(self, before: Row | None, line: Row, user: int, source: Literal["app", "api"]) -> None:
        amount = Decimal(line["item_price"]) * Decimal(line["quantity"])
        off = Decimal(line["discount"])
        amount -= amount * off / 100 if line["discount_type"] == "percentage" else off
        if line["tax_method"] == "exclusive":
            amount *= 1 + Decimal(line["tax"]) / 100
        line["sum"] = self._rounded(amount)
        self.lines[line["id"]] = line
        self._sum_up(line["deal_id"], user, source)
        self._tell(Change("deal_product", "change" if before else "create", before, line, user, source))

    def _rounded(self, amount: int | Decimal) -> Decimal:
        return Decimal(amount) if self.cents is None else Decimal(amount).quantize(self.cents, ROUND_HALF_UP)

    def _sum_up(self, deal: int, user: int, source: Literal["app", "api"]) -> None:
        """The deal's value becomes the sum of its enabled lines; with the last line gone it stays as it is."""
        row, lines = self.tables["deals"].rows[deal], list(self.lines_of(deal))
        value = sum((line["sum"] for line in lines if line["is_enabled"]), Decimal()) if lines else row["value"]
        if value == row["value"] and not self.lines_move_deal:
            return
        changed = {**row, "value": value, "update_time": self.now() if self.lines_move_deal else row["update_time"]}
        self._keep(SHAPES["deals"], row, changed, user, source)

    # -- showing

    def shown(self, plural: str, row: Row, keys: Iterable[str] | None = None) -> Row:
        """A row as v2 tells it; ``keys`` are the custom fields that were asked for, None: all."""
        custom = {code for code, field in self.fields[plural].items() if field.custom}
        told = {
            **row,
            "custom_fields": {code: row["custom_fields"].get(code) for code in custom if keys is None or code in keys},
        }
        if plural == "persons":
            first, _, last = row["name"].partition(" ")
            told |= {"first_name": first, "last_name": last or None}
            if self.contact_sync:
                told = {"job_title": None, "notes": None, "postal_address": None, "birthday": None, **told}
        if plural == "products":
            told["prices"] = [
                {"product_id": row["id"], "cost": 0, "direct_cost": 0, "notes": "", **price} for price in row["prices"]
            ]
            told["category"] = None if row["category"] is None else str(row["category"])
        return timed(told)


def timed(row: Row) -> Row:
    """The row with its times as text."""
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _must(place: str, check: Check, value: Any) -> None:
    if complaint := check(value):
        raise invalid(place, complaint)


def _channels(told: list[Row]) -> list[Row]:
    channels = [
        {"value": one["value"], "primary": one.get("primary", False), "label": one.get("label", "work")} for one in told
    ]
    if channels and not any(one["primary"] for one in channels):
        channels[0]["primary"] = True
    return channels
