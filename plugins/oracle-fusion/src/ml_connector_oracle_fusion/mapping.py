"""Oracle's parties ↔ accounts and contacts. Pure functions and tables; nothing is cut, what does not fit is refused by field.

Oracle, Sales REST: "Accounts" and "Contacts" (attributes and their lengths). ``RawPhoneNumber`` takes what people wrote;
``PhoneNumber`` is the local part alone. An address is a location, and a location needs a country.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import UNSET, Account, Address, Contact, Entity, Extra, Kind, Record, Ref, Scalar
from ml_connector.errors import RecordRejected
from ml_connector_oracle_fusion import wire
from ml_connector_oracle_fusion.countries import CODES
from ml_connector_oracle_fusion.settings import Settings
from ml_connector_oracle_fusion.wire import Vendor


class Field(msgspec.Struct, frozen=True):
    """One canonical text and the attribute that it lives in."""

    name: str
    attribute: str
    limit: int = 0  # most characters, 0: not known
    required: bool = False
    also: tuple[str, ...] = ()  # what else shows or holds it: read where the attribute is empty, emptied with it


ACCOUNT: Final = (
    Field("name", "OrganizationName", 360, required=True),
    Field("description", "Description", 2000),
    Field("tax_id", "TaxpayerIdentificationNumber"),
    Field("phone", "RawPhoneNumber", also=("PhoneCountryCode", "PhoneAreaCode", "PhoneNumber")),
    Field("fax", "RawFaxNumber", also=("FaxCountryCode", "FaxAreaCode", "FaxNumber")),
    Field("email", "EmailAddress", 320),
    Field("website", "URL", 2000),
)
CONTACT: Final = (
    Field("first_name", "FirstName", 150),
    Field("last_name", "LastName", 150, required=True),
    Field("email", "EmailAddress", 320),
    Field("phone", "RawWorkPhoneNumber", also=("WorkPhoneCountryCode", "WorkPhoneNumber")),
    Field("mobile", "RawMobileNumber", also=("MobileCountryCode", "MobileNumber")),
    Field("title", "JobTitle", 100),
    Field("department", "Department", 60),
)
FIELDS: Final[dict[str, tuple[Field, ...]]] = {"account": ACCOUNT, "contact": CONTACT}
PLACE: Final[dict[str, str]] = {"account": "billing", "contact": "address"}
LINES: Final = ("AddressLine1", "AddressLine2", "AddressLine3", "AddressLine4")
PARTS: Final = {"city": ("City", 60), "postal_code": ("PostalCode", 60)}
REGION_ATTRIBUTES: Final = ("State", "Province", "County")
TYPE_PROSPECT: Final = "ZCA_PROSPECT"
LINE_LIMIT: Final = 240
REGION_LIMIT: Final = 60
ACCOUNT_ATTRIBUTES: Final = (
    "PartyId",
    "PartyNumber",
    "PartyStatus",
    "Type",
    "SourceSystem",
    "SourceSystemReferenceValue",
    *(name for field in ACCOUNT for name in (field.attribute, *field.also)),
    "FormattedPhoneNumber",
    "EmployeesTotal",
    "ParentAccountPartyId",
    *LINES,
    "City",
    "PostalCode",
    *REGION_ATTRIBUTES,
    "Country",
    "CreationDate",
    "LastUpdateDate",
    "LastUpdatedBy",
)
"""Asked for by name, so that a party's hundred other attributes do not travel."""


# from Oracle


def version_of(row: Mapping[str, Any]) -> str:
    """Number and ETag: the one names the row in URLs, the other guards it. "@" and a time where there is no ETag."""
    return f"{row['PartyNumber']}|{wire.etag_of(row) or '@' + str(row.get('LastUpdateDate'))}"


def number_of(settings: Settings, row: Mapping[str, Any]) -> str | None:
    """The number by which both systems know the party; None where it has none yet."""
    match settings.numbering:
        case "party_number":
            return str(row["PartyNumber"])
        case "field":
            value = row.get(settings.reference_field)
            return str(value) if value not in (None, "") else None
        case _:
            return reference_of(settings, row)


def reference_of(settings: Settings, row: Mapping[str, Any]) -> str | None:
    """What our source system calls the party, by the row itself or by its expanded references."""
    others, _ = wire.children(row, "SourceSystemReference")
    for each in (row, *others):
        value = each.get("SourceSystemReferenceValue")
        if each.get("SourceSystem") == settings.source_system and value and each.get("Status", "A") in ("A", None):
            return str(value)
    return None


def record_of(settings: Settings, kind: Kind, row: Vendor, extras: Mapping[str, Scalar] = {}) -> Record:
    """The party as a record; ``extras`` come from elsewhere (readiness for invoices)."""
    names = FIELDS[kind]
    told: dict[str, Any] = {field.name: _text(row, field) for field in names}
    told["number"] = number_of(settings, row)
    told[PLACE[kind]] = address_of(settings, row)
    custom = settings.custom_fields.get("account" if kind == "account" else "contact", {})
    extra: dict[str, Scalar] = {name: _scalar(row.get(attribute)) for name, attribute in custom.items()}
    entity: Entity
    if kind == "account":
        words = {code: word for word, code in settings.types.items()}
        told["category"] = words.get(str(row.get("Type")), row.get("Type"))
        told["employees"] = int(row["EmployeesTotal"]) if row.get("EmployeesTotal") is not None else None
        told["active"] = row.get("PartyStatus") == "A" if row.get("PartyStatus") else UNSET
        told["parent"] = Ref("account", str(row["ParentAccountPartyId"])) if row.get("ParentAccountPartyId") else None
        entity = Account(**told, extra=Extra({"party_number": str(row["PartyNumber"]), **extra, **extras}))
    else:
        told["name"] = row.get("ContactName") or UNSET
        own = settings.entities.contact.alone == "account" and row.get("AccountName") == row.get("ContactName")
        told["account"] = Ref("account", str(row["AccountPartyId"])) if row.get("AccountPartyId") and not own else None
        entity = Contact(**told, extra=Extra({"party_number": str(row["PartyNumber"]), **extra, **extras}))
    user = settings.integration_user or settings.user or settings.client_id
    return Record(
        id=str(row["PartyId"]),
        entity=entity,
        version=version_of(row),
        changed_at=wire.instant(row["LastUpdateDate"]) if row.get("LastUpdateDate") else None,
        by_us=bool(user) and str(row.get("LastUpdatedBy") or "").casefold() == user.casefold(),
    )


def address_of(settings: Settings, row: Mapping[str, Any]) -> Address | None:
    """The primary address, None where no part of it is filled."""
    lines = [str(row[name]) for name in LINES if row.get(name)]
    country = row.get("Country") or None
    first = settings.region_attributes.get(str(country), settings.region_attribute)
    region = next((row[name] for name in (first, *REGION_ATTRIBUTES) if row.get(name)), None)
    address = Address(
        street="\n".join(lines) or None,
        city=row.get("City") or None,
        region=region,
        postal_code=row.get("PostalCode") or None,
        country=country,
    )
    return None if address == Address(None, None, None, None, None) else address


def _text(row: Mapping[str, Any], field: Field) -> str | None:
    value = row.get(field.attribute)
    if value in (None, "") and field.name == "phone":
        value = row.get("FormattedPhoneNumber") or row.get("FormattedWorkPhoneNumber")
    if value in (None, "") and field.also:
        value = " ".join(str(row[name]) for name in field.also if row.get(name))
    return str(value) if value not in (None, "") else None


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, str | bool | int | Decimal) else None if value is None else str(value)


# to Oracle


def body_of(settings: Settings, kind: Kind, entity: Entity, *, creates: bool) -> Vendor:
    """What is sent: attributes that the entity tells, None where it empties one. Raises RecordRejected by field."""
    body: Vendor = {}
    for field in FIELDS[kind]:
        value = getattr(entity, field.name)
        if value is UNSET:
            if creates and field.required:
                raise RecordRejected(f"{field.attribute} is required", code="REQUIRED", field=field.name)
            continue
        body |= _sent(field, value)
    place = getattr(entity, PLACE[kind])
    if place is not UNSET:
        body |= place_of(settings, PLACE[kind], place, creates=creates)
    extra = entity.extra if entity.extra is not UNSET else Extra()
    for name, attribute in settings.custom_fields.get("account" if kind == "account" else "contact", {}).items():
        if name in extra:
            body[attribute] = _plain(extra[name])
    if isinstance(entity, Account):
        body |= _account(settings, entity, creates=creates)
    elif isinstance(entity, Contact) and entity.account is not UNSET:
        body["AccountPartyId"] = _party_id(entity.account, "account")
    return body


def place_of(settings: Settings, field: str, place: Address | None, *, creates: bool) -> Vendor:
    """The flat attributes of the primary address. Raises RecordRejected."""
    if place is None:
        place = Address(None, None, None, None, None)
    filled = any(part for part in (place.street, place.city, place.region, place.postal_code))
    country = place.country
    if not country and filled and (creates or country is not UNSET):
        country = settings.default_country or None
        if country is None:
            raise RecordRejected(
                "an address without a country cannot be stored",
                code="COUNTRY",
                field=f"{field}.country",
                fix='Fill it in at its source, or say default_country = "SE"',
            )
    body: Vendor = {}
    if country is not UNSET:
        body["Country"] = territory(settings, field, country) if country else None
    if place.street is not UNSET:
        lines = [line.strip() for line in (place.street or "").splitlines() if line.strip()]
        if len(lines) > len(LINES):
            raise RecordRejected(f"{len(lines)} lines; Oracle has {len(LINES)}", code="TOO_LONG", field=f"{field}.street")
        for at, name in enumerate(LINES):
            body[name] = _fitting(lines[at], LINE_LIMIT, f"{field}.street") if at < len(lines) else None
    for part, (attribute, limit) in PARTS.items():
        value = getattr(place, part)
        if value is not UNSET:
            body[attribute] = _fitting(value, limit, f"{field}.{part}") if value else None
    if place.region is not UNSET:
        body |= dict.fromkeys(REGION_ATTRIBUTES)  # the region of another country stood elsewhere, and would be read on
        attribute = settings.region_attributes.get(str(body.get("Country")), settings.region_attribute)
        body[attribute] = _fitting(place.region, REGION_LIMIT, f"{field}.region") if place.region else None
    return {name: value for name, value in body.items() if value is not None} if creates else body


def territory(settings: Settings, field: str, country: str) -> str:
    """The two-letter code. Raises RecordRejected for a name that nobody has told us the code of."""
    name = country.strip()
    told = {word.casefold(): code for word, code in settings.countries.items()}
    code = told.get(name.casefold()) or CODES.get(name.casefold()) or (name.upper() if len(name) == 2 else "")
    if len(code) == 2 and code.isascii() and code.isalpha():
        return code.upper()
    raise RecordRejected(
        f'"{name[:60]}" is no country that is known here',
        code="COUNTRY",
        field=f"{field}.country",
        fix=f'Write the two-letter code at its source, or say countries = {{ "{name[:60]}" = "XX" }}',
    )


def canonical(kind: Kind, attribute: str) -> str:
    """The canonical path of an attribute that Oracle blames, else its own name."""
    known = {name: field.name for field in FIELDS[kind] for name in (field.attribute, *field.also)}
    place = PLACE[kind]
    known |= dict.fromkeys(LINES, f"{place}.street") | dict.fromkeys(REGION_ATTRIBUTES, f"{place}.region")
    known |= {attribute: f"{place}.{part}" for part, (attribute, _) in PARTS.items()} | {"Country": f"{place}.country"}
    known |= {"Type": "category", "EmployeesTotal": "employees", "PartyStatus": "active"}
    known |= {"SourceSystemReferenceValue": "number", "SourceSystem": "number", "AccountPartyId": "account"}
    return known.get(attribute, attribute)


def _account(settings: Settings, entity: Account, *, creates: bool) -> Vendor:
    body: Vendor = {}
    if entity.category is not UNSET and entity.category:
        body["Type"] = settings.types.get(entity.category, entity.category)
    elif creates and settings.default_type:
        body["Type"] = settings.default_type
    if entity.employees is not UNSET:
        body["EmployeesTotal"] = entity.employees
    if entity.active is not UNSET and entity.active is not None:
        body["PartyStatus"] = "A" if entity.active else "I"
    if entity.parent is not UNSET:
        body["ParentAccountPartyId"] = _party_id(entity.parent, "parent")
    return {name: value for name, value in body.items() if value is not None} if creates else body


def _sent(field: Field, value: Any) -> Vendor:
    told = str(value) if value is not None else ""
    if told.strip():
        return {field.attribute: _fitting(told, field.limit, field.name)}
    if field.required:
        raise RecordRejected(f"{field.attribute} cannot be empty", code="REQUIRED", field=field.name)
    return dict.fromkeys((field.attribute, *field.also))


def _fitting(value: str, limit: int, field: str) -> str:
    if limit and len(value) > limit:
        raise RecordRejected(f"{len(value)} characters; Oracle takes {limit}", code="TOO_LONG", field=field)
    return value


def _party_id(ref: Ref | None, field: str) -> int | None:
    if ref is None:
        return None
    if not ref.key.isdigit():
        raise RecordRejected(f"{ref.kind} {ref.key} is no party of Oracle's", code="NO_PARTY", field=field)
    return int(ref.key)


def _plain(value: Scalar) -> Any:
    if value == "":
        return None
    return value.isoformat() if isinstance(value, date | datetime) else value
