"""Pipedrive's records ↔ entities. Pure functions over a Plan; only what differs from what stands there is ever sent."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import ENTITIES, UNSET, Address, Entity, Extra, Money, Record
from ml_connector.errors import RecordRejected
from ml_connector_pipedrive import convert
from ml_connector_pipedrive.convert import Unstorable
from ml_connector_pipedrive.lines import read_lines
from ml_connector_pipedrive.plan import Column, Plan
from ml_connector_pipedrive.wire import Vendor

MOBILE: Final = "mobile"
STATUSES: Final = ("open", "won", "lost")


def record(plan: Plan, row: Vendor, lines: Sequence[Vendor] = ()) -> Record:
    """A row, and a deal's attached products, as a Record."""
    entity = _entity(plan, row, lines)
    changed = changed_at(row)
    return Record(id=str(row["id"]), entity=entity, version=_version(changed, entity), changed_at=changed)


def changed_at(row: Vendor) -> datetime | None:
    """A fresh record's ``update_time`` may be null."""
    return convert.instant(row.get("update_time") or row.get("add_time"))


def body(plan: Plan, entity: Entity, row: Vendor | None) -> Vendor:
    """What to send so that the record holds the entity's set fields; ``row`` is what stands there, None for a new record.

    Raises RecordRejected for what cannot be stored, naming the canonical field.
    """
    told: Vendor = {}
    custom: Vendor = {}
    for column, value in _wanted(plan, entity):
        try:
            stored = None if value is None else column.codec.write(value)
        except Unstorable as error:
            raise error.at(column.field) from None
        if stored != (None if row is None else column.held(row)):
            (custom if column.custom else told)[column.code] = stored
    told |= _woven(plan, entity, row)
    if custom:
        told["custom_fields"] = custom
    return told


def _entity(plan: Plan, row: Vendor, lines: Sequence[Vendor]) -> Entity:
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, column in plan.columns.items():
        value = column.held(row)
        told = None if value is None else column.codec.read(value)
        if told is UNSET:
            continue
        if name.startswith("extra."):
            extra[name.removeprefix("extra.")] = told
        else:
            fields[name] = told
    if plan.address:
        fields[plan.address] = convert.read_address(row.get(plan.address_code))
    match plan.kind:
        case "contact":
            fields |= _read_contact(row)
        case "deal":
            fields |= _read_deal(plan, row)
            if plan.lined:
                fields["lines"] = read_lines(lines, plan.settings.fallback_product)
        case "product":
            fields["list_price"] = _read_price(plan, row)
    return ENTITIES[plan.kind](**fields, extra=Extra(extra))


def _wanted(plan: Plan, entity: Entity) -> list[tuple[Column, Any]]:
    """Columns and the values that they shall hold. Raises RecordRejected for a field without a place."""
    placed: list[tuple[Column, Any]] = []
    for name, value in set_fields(entity):
        if name in plan.shape.woven or name == plan.address:
            continue
        column = plan.columns.get(name)
        if column is None:
            raise RecordRejected(
                f"Pipedrive has no place for it among the fields of {plan.shape.plural}",
                field=name,
                fix="Create the custom field, or run ml-connector ping --fix",
                code="NO_FIELD",
            )
        placed.append((column, value))
    return placed


def set_fields(entity: Entity) -> Iterator[tuple[str, Any]]:
    """Fields that are set, lines left out, and custom ones under ``extra.NAME``."""
    for name in entity.__struct_fields__:
        value = getattr(entity, name)
        if isinstance(value, Extra):
            yield from ((f"extra.{key}", each) for key, each in value.items())
        elif value is not UNSET and name != "lines":
            yield name, value


def _woven(plan: Plan, entity: Any, row: Vendor | None) -> Vendor:
    """What no single column holds."""
    told: Vendor = {}
    if plan.address and isinstance(wanted := getattr(entity, plan.address), Address | None):
        there = (row or {}).get(plan.address_code)
        written = convert.write_address(wanted, there)
        if convert.read_address(written) != convert.read_address(there):
            told[plan.address_code] = written
    match plan.kind:
        case "contact":
            told |= _write_contact(entity, row)
        case "deal":
            told |= _write_deal(plan, entity, row)
        case "product":
            told |= _write_price(plan, entity, row)
    return told


def _version(changed: datetime | None, entity: Entity) -> str:
    """When it changed, and a digest of what it holds: times are whole seconds, and a line may move none of them."""
    content = msgspec.json.encode(entity, enc_hook=lambda extra: dict(sorted(extra.items())))
    return f"{changed.isoformat() if changed else ''}~{hashlib.sha256(content).hexdigest()[:12]}"


# -- contacts: one name, lists of addresses and numbers


def _read_contact(row: Vendor) -> dict[str, Any]:
    phones = row.get("phones") or []
    return {
        "first_name": row.get("first_name"),
        "last_name": row.get("last_name"),
        "email": _value(_main(row.get("emails") or [])),
        "phone": _value(_main([one for one in phones if one.get("label") != MOBILE])),
        "mobile": _value(_main([one for one in phones if one.get("label") == MOBILE])),
    }


def _write_contact(entity: Any, row: Vendor | None) -> Vendor:
    there = row or {}
    told: Vendor = {}
    if entity.name is UNSET and not (entity.first_name is UNSET and entity.last_name is UNSET):
        parts = (
            there.get(name) if getattr(entity, name) is UNSET else getattr(entity, name) for name in ("first_name", "last_name")
        )
        name = " ".join(part for part in parts if part)
        if name != there.get("name"):
            told["name"] = name
    emails = there.get("emails") or []
    if entity.email is not UNSET and entity.email != _value(_main(emails)):
        told["emails"] = _replaced(emails, _main(emails), entity.email, "work")
    phones = list(there.get("phones") or [])
    for value, mobile in ((entity.phone, False), (entity.mobile, True)):
        mine = _main([one for one in phones if (one.get("label") == MOBILE) == mobile])
        if value is not UNSET and value != _value(mine):
            phones = told["phones"] = _replaced(phones, mine, value, MOBILE if mobile else "work")
    return told


def _main(channels: Sequence[Vendor]) -> Vendor | None:
    filled = [one for one in channels if one.get("value")]
    return next((one for one in filled if one.get("primary")), filled[0] if filled else None)


def _value(channel: Vendor | None) -> str | None:
    return None if channel is None else str(channel["value"])


def _replaced(channels: Sequence[Vendor], mine: Vendor | None, value: str | None, label: str) -> list[Vendor]:
    """The list with one entry changed, added or taken out; the others stay as people keep them."""
    kept = [one for one in channels if one is not mine and one.get("value")]
    if not value:
        return kept
    primary = bool(mine.get("primary")) if mine else not any(one.get("primary") for one in kept)
    return [{"value": value, "primary": primary, "label": (mine or {}).get("label") or label}, *kept]


# -- deals: an amount of two fields, a stage of a pipeline, a status


def _read_deal(plan: Plan, row: Vendor) -> dict[str, Any]:
    stage = next((each for each in plan.schema.stages if each.id == row.get("stage_id")), None)
    pipeline = next((each for each in plan.schema.pipelines if each.id == row.get("pipeline_id")), None)
    value = row.get("value")
    return {
        "amount": None if value is None else Money(convert.exact(value), row.get("currency") or ""),
        "stage": UNSET if stage is None else stage.name,
        "pipeline": UNSET if pipeline is None else pipeline.name,
        "status": row.get("status"),
    }


def _write_deal(plan: Plan, entity: Any, row: Vendor | None) -> Vendor:
    there = row or {}
    told: Vendor = {}
    if entity.amount is not UNSET:
        wanted = entity.amount or Money(Decimal(0), "")
        told["currency"] = wanted.currency or there.get("currency") or plan.schema.home
        if not plan.lined:  # else the lines say it
            try:
                told["value"] = convert.number(wanted.amount)
            except Unstorable as error:
                raise error.at("amount") from None
    told |= _place(plan, entity, there)
    if entity.status is not UNSET:
        if entity.status not in STATUSES:
            raise RecordRejected(f'"{entity.status}" is not one of {", ".join(STATUSES)}', field="status", code="NOT_STORABLE")
        told["status"] = entity.status
        if entity.status == "lost" and there.get("status") != "lost" and plan.settings.lost_reason:
            told["lost_reason"] = plan.settings.lost_reason
    return {name: value for name, value in told.items() if row is None or row.get(name) != value}


def _place(plan: Plan, entity: Any, there: Vendor) -> Vendor:
    """Pipeline and stage by name, always both: where a stage's name stands in several pipelines the deal's own goes first."""
    if entity.stage in (UNSET, None) and entity.pipeline in (UNSET, None) and (there or not plan.settings.pipeline):
        return {}
    names = {pipeline.name: pipeline.id for pipeline in plan.schema.pipelines}
    if entity.pipeline not in (UNSET, None):
        if entity.pipeline not in names:
            raise _unknown("pipeline", entity.pipeline, names)
        candidates = [names[entity.pipeline]]
    else:
        preferred = (there.get("pipeline_id"), names.get(plan.settings.pipeline), *names.values())
        candidates = [one for one in preferred if one is not None]
    for pipeline in candidates:
        stages = [stage for stage in plan.schema.stages if stage.pipeline_id == pipeline]
        wanted = [stage for stage in stages if stage.name == entity.stage or entity.stage in (UNSET, None)]
        if wanted:
            keep = entity.stage in (UNSET, None) and there.get("pipeline_id") == pipeline
            return {} if keep else {"pipeline_id": pipeline, "stage_id": wanted[0].id}
    known = (stage.name for stage in plan.schema.stages if stage.pipeline_id in candidates)
    raise _unknown("stage", entity.stage, known)


def _unknown(field: str, name: str, known: Any) -> RecordRejected:
    return RecordRejected(
        f'there is no {field} "{name}", only {", ".join(dict.fromkeys(known))}',
        field=field,
        fix="Mend the table of the flow, or add it in Pipedrive",
        code="NOT_STORABLE",
    )


# -- products: one price per currency


def _read_price(plan: Plan, row: Vendor) -> Money | None:
    prices = {price.get("currency"): price for price in row.get("prices") or []}
    price = prices.get(plan.schema.home) or next(iter(prices.values()), None)
    return None if price is None else Money(convert.exact(price["price"]), price["currency"])


def _write_price(plan: Plan, entity: Any, row: Vendor | None) -> Vendor:
    """All prices, since Pipedrive may replace the list: ours changed or added, the others as they stand."""
    wanted = entity.list_price
    if wanted is UNSET or (row is not None and wanted == _read_price(plan, row)):
        return {}
    currency = (wanted.currency if wanted else "") or plan.schema.home
    try:
        amount = convert.number(wanted.amount) if wanted else Decimal(0)
    except Unstorable as error:
        raise error.at("list_price") from None
    kept = [{name: value for name, value in price.items() if name != "product_id"} for price in (row or {}).get("prices") or []]
    ours: Vendor = next((price for price in kept if price.get("currency") == currency), {})
    return {"prices": [{**ours, "currency": currency, "price": amount}, *(price for price in kept if price is not ours)]}
