"""Creating, changing and removing rows as IFS lets an API user do it."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from ml_connector.twin import TwinRequest
from ml_connector_ifs_cloud.twin.answers import Refused, business, undeserialisable
from ml_connector_ifs_cloud.twin.schema import SYSTEM, Action, EntityType, Navigation, Property, Value, column
from ml_connector_ifs_cloud.twin.tables import Database, Row
from ml_connector_ifs_cloud.twin.values import check_lengths, from_json

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def create(
    db: Database,
    entity: EntityType,
    request: TwinRequest,
    parent: tuple[Navigation, Row] | None,
    *,
    key: Mapping[str, Value] | None = None,
) -> Row:
    """POST, or with ``key`` the inserting half of an upsert, in which the key comes from the URL alone."""
    values = _read(db, entity, request, lenient=key is not None, barred=entity.readonly)
    if key is not None:
        values = {name: value for name, value in values.items() if name not in entity.keys} | dict(key)
    if parent:
        navigation, owner = parent
        given = {child: owner.values[own] for child, own in navigation.on} | dict(navigation.fixed)
        if any(values.get(name, value) != value for name, value in given.items()):
            raise undeserialisable(f"The key in the body does not belong to the parent in the URL: {', '.join(given)}.")
        values |= given
    _check_parents(db, entity, values)
    for name in entity.required:
        if values.get(name) is None:
            raise business(f"{entity.name}.NULLVALUE: Field [{column(name)}] is mandatory and requires a value.", "20111")
    if entity.numbering and any(values.get(name) is None for name in entity.keys):
        for name in entity.keys:
            if values.get(name) is None:
                values.pop(name, None)
        entity.numbering(db, values)
    key_columns = db.tables[entity.name].key_of(values)
    if None in key_columns:
        missing = entity.keys[key_columns.index(None)]
        raise business(f"{entity.name}.NULLVALUE: Field [{column(missing)}] is mandatory and requires a value.", "20111")
    check_lengths(entity, values)
    if db.get(entity.name, *key_columns):
        raise business(f"{entity.name}.FND_RECORD_EXIST: The {entity.name} object already exists.", "20112")
    if entity.on_create:
        entity.on_create(db, values)
    return db.insert(entity, values)


def change(db: Database, entity: EntityType, row: Row, request: TwinRequest, *, upsert: bool) -> None:
    """PATCH: only what is in the body changes; keys in the body are ignored."""
    if not upsert:
        check_match(db, entity, row, request)
    values = _read(db, entity, request, lenient=upsert, barred=(*entity.readonly, *entity.fixed))
    changes = {name: value for name, value in values.items() if name not in entity.keys}
    for name in entity.required:
        if name in changes and changes[name] is None:
            raise business(f"{entity.name}.NULLVALUE: Field [{column(name)}] is mandatory and requires a value.", "20111")
    check_lengths(entity, changes)
    if entity.on_change:
        entity.on_change(db, row, changes)
    db.update(entity, row, changes)


def remove(db: Database, entity: EntityType, row: Row, request: TwinRequest) -> None:
    check_match(db, entity, row, request)
    if entity.on_delete:
        entity.on_delete(db, row)
    db.delete(entity, row)


def call(db: Database, entity: EntityType, row: Row | None, action: Action, request: TwinRequest) -> Value:
    """A bound action needs If-Match as a write does; one on the service does not."""
    if row is not None:
        check_match(db, entity, row, request)
    given = _body(request) if request.body.strip() else {}
    parameters: dict[str, Value] = {}
    for name, raw in given.items():
        if name not in action.parameters:
            raise undeserialisable(f"The parameter '{name}' is not defined in action '{action.name}'.")
        parameters[name] = from_json(Property(name, action.parameters[name]), raw, db.model.enums)
    return action.run(db, row, parameters)


def check_match(db: Database, entity: EntityType, row: Row, request: TwinRequest) -> None:
    """428 if the header is missing, 412 if it names another version; tags are compared byte for byte, ``*`` matches all."""
    header = request.headers.get("if-match")
    if header is None:
        raise Refused(428, "ODP_MISSING_PRECONDITION", "Missing If-Match header.")
    tags = [tag.strip() for tag in header.split(",")]
    if "*" not in tags and db.tables[entity.name].etag(row) not in tags:
        raise Refused(412, "ODP_PRECONDITION_FAILED", "The record has been modified by another user.")


def _read(
    db: Database, entity: EntityType, request: TwinRequest, *, lenient: bool, barred: tuple[str, ...]
) -> dict[str, Value]:
    """The columns in a body. ``barred`` ones and the system's own are refused, or in an upsert (``lenient``) ignored."""
    as_text = "ieee754compatible=true" in request.headers.get("content-type", "").replace(" ", "").lower()
    values: dict[str, Value] = {}
    for name, raw in _body(request).items():
        if "@" in name:
            continue  # annotations say something about the message, not about the row
        if name in SYSTEM or name in barred:
            if lenient:
                continue
            if name in SYSTEM:
                raise undeserialisable(f"The property '{name}' is read only.")
            raise business(f"{entity.name}.NOT_UPDATABLE: Field [{column(name)}] may not be specified.", "20114")
        if name not in entity.properties:
            raise undeserialisable(f"The property '{name}' is not defined in type '{entity.name}'.")
        values[name] = from_json(entity.properties[name], raw, db.model.enums, decimals_as_text=as_text)
    return values


def _body(request: TwinRequest) -> dict[str, object]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise undeserialisable("The content type of the body must be application/json.")
    try:
        body = _DECODER.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise undeserialisable(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise undeserialisable("The body must be a JSON object.")
    return body


def _check_parents(db: Database, entity: EntityType, values: Mapping[str, Value]) -> None:
    for owner in db.model.types.values():
        for navigation in owner.navigations.values():
            if navigation.target == entity.name and not entity.read_only:
                key = [values.get(child) for child in navigation.columns]
                if db.get(owner.name, *key) is None:
                    names = ", ".join(str(part) for part in key)
                    raise business(f"{owner.name}.NOTEXIST: The {owner.name} object {names} does not exist.", "20115")
