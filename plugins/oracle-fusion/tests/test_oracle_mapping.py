"""Parties to entities and back: nothing lost, nothing cut, nothing cleared that was not told."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_world import settings_for

from ml_connector.domain import UNSET, Account, Address, Contact, Ref
from ml_connector.errors import RecordRejected
from ml_connector_contract_tests.strategies import texts
from ml_connector_oracle_fusion import mapping
from ml_connector_oracle_fusion.countries import CODES
from ml_connector_oracle_fusion.settings import Settings

SETTINGS = settings_for(
    base_url="https://acme.fa.us2.oraclecloud.com",
    token_url="https://idcs-1.identity.oraclecloud.com/t",
    client_id="ml",
    client_secret="env:S",
    scope="s",
    source_system="ZOHO_CRM",
)
STAMPS = {"PartyId": 1, "PartyNumber": "CDRM_1", "LastUpdateDate": "2026-03-09T08:14:52+00:00"}

line = texts(60).filter(lambda text: "\n" not in text and "\x85" not in text)
maybe = st.none() | line
addresses = st.none() | st.builds(
    Address,
    street=st.none() | st.lists(line, min_size=1, max_size=4).map("\n".join),
    city=maybe,
    region=maybe,
    postal_code=maybe,
    country=st.sampled_from(["SE", "DE", "CA", "GB", "US"]),
)
accounts = st.builds(
    Account,
    name=line,
    description=maybe,
    tax_id=maybe,
    phone=maybe,
    fax=maybe,
    email=maybe,
    website=maybe,
    category=st.sampled_from(["Customer", "Prospect"]),
    employees=st.none() | st.integers(0, 10**6),
    active=st.booleans(),
    parent=st.none() | st.integers(1, 10**18).map(lambda n: Ref("account", str(n))),
    billing=addresses,
)
contacts = st.builds(
    Contact,
    first_name=maybe,
    last_name=line,
    email=maybe,
    phone=maybe,
    mobile=maybe,
    title=maybe,
    department=maybe,
    account=st.none() | st.integers(1, 10**18).map(lambda n: Ref("account", str(n))),
    address=addresses,
)


def stored(body: dict[str, Any]) -> dict[str, Any]:
    """As Oracle would keep it."""
    return {**STAMPS, **msgspec.json.decode(msgspec.json.encode(body))}


@given(accounts)
def test_an_account_comes_back_as_it_was_sent(account: Account) -> None:
    row = stored(mapping.body_of(SETTINGS, "account", account, creates=False))
    back = mapping.record_of(SETTINGS, "account", row).entity
    assert isinstance(back, Account)
    assert msgspec.structs.replace(back, number=UNSET, extra=UNSET) == account


@given(contacts)
def test_a_contact_comes_back_as_it_was_sent(contact: Contact) -> None:
    row = stored(mapping.body_of(SETTINGS, "contact", contact, creates=False))
    back = mapping.record_of(SETTINGS, "contact", row).entity
    assert isinstance(back, Contact)
    assert msgspec.structs.replace(back, number=UNSET, extra=UNSET) == contact


@given(accounts)
def test_a_create_sends_no_nulls_and_an_update_what_is_told(account: Account) -> None:
    assert None not in [
        value for name, value in mapping.body_of(SETTINGS, "account", account, creates=True).items() if name in mapping.LINES
    ]
    assert mapping.body_of(SETTINGS, "account", Account(), creates=False) == {}


@pytest.mark.parametrize(
    ("entity", "field"),
    [
        (Account(name="x" * 361), "name"),
        (Account(name="Acme", email="x" * 321), "email"),
        (Account(name="Acme", billing=Address("x" * 241, country="SE")), "billing.street"),
        (Account(name="Acme", billing=Address("1\n2\n3\n4\n5", country="SE")), "billing.street"),
        (Account(name="Acme", billing=Address(city="x" * 61, country="SE")), "billing.city"),
        (Account(name="Acme", billing=Address(region="x" * 61, country="SE")), "billing.region"),
        (Account(name="Acme", billing=Address(city="Atlantis", country="Atlantis")), "billing.country"),
        (Account(name="Acme", billing=Address(city="Uppsala", country=None)), "billing.country"),
        (Account(name="Acme", parent=Ref("account", "C-1")), "parent"),
        (Account(name=""), "name"),
        (Account(email="a@b.example"), "name"),
        (Contact(first_name="Kim"), "last_name"),
        (Contact(last_name="x" * 151), "last_name"),
    ],
)
def test_what_does_not_fit_is_refused_by_field_and_never_cut(entity: Any, field: str) -> None:
    kind: Any = "account" if isinstance(entity, Account) else "contact"
    with pytest.raises(RecordRejected) as raised:
        mapping.body_of(SETTINGS, kind, entity, creates=True)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("name", "code"), [("Sweden", "SE"), ("sverige", "SE"), ("GB", "GB"), ("us", "US"), ("Absurdistan", "XA")]
)
def test_countries_are_told_by_name_or_code(make_settings: Callable[..., Settings], name: str, code: str) -> None:
    settings = make_settings(countries={"Absurdistan": "XA"})
    assert mapping.territory(settings, "billing", name) == code


def test_every_known_country_has_a_code_of_two_letters() -> None:
    assert [code for code in CODES.values() if len(code) != 2 or not code.isupper()] == []


def test_an_address_without_a_country_takes_the_default(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(default_country="SE")
    body = mapping.body_of(settings, "account", Account(name="Acme", billing=Address(city="Uppsala")), creates=True)
    assert (body["City"], body["Country"]) == ("Uppsala", "SE")


def test_a_part_of_an_address_travels_alone() -> None:
    body = mapping.body_of(SETTINGS, "account", Account(billing=Address(city="Lund")), creates=False)
    assert body == {"City": "Lund"}


def test_a_region_is_kept_where_its_country_keeps_regions() -> None:
    place = Address(region="Ontario", country="CA")
    assert mapping.body_of(SETTINGS, "account", Account(billing=place), creates=False)["Province"] == "Ontario"


@pytest.mark.parametrize(("place", "region"), [(Address(region=None, country="GB"), None), (Address(region="Kent"), "Kent")])
def test_the_region_of_the_country_before_does_not_stay_behind(place: Address, region: str | None) -> None:
    row = {**STAMPS, "City": "Leeds", "State": "TX", "County": "Surrey", "Country": "GB"}
    row |= mapping.body_of(SETTINGS, "account", Account(billing=place), creates=False)
    read = mapping.address_of(SETTINGS, row)
    assert read is not None
    assert read.region == region


def test_a_cleared_phone_clears_every_part_of_it() -> None:
    body = mapping.body_of(SETTINGS, "account", Account(phone=None), creates=False)
    assert body == dict.fromkeys(("RawPhoneNumber", "PhoneCountryCode", "PhoneAreaCode", "PhoneNumber"))


@pytest.mark.parametrize(
    ("row", "phone"),
    [
        ({"RawPhoneNumber": "+46 8 555 0199"}, "+46 8 555 0199"),
        ({"FormattedPhoneNumber": "+46 8 5550199", "PhoneNumber": "5550199"}, "+46 8 5550199"),
        ({"PhoneCountryCode": "46", "PhoneAreaCode": "8", "PhoneNumber": "5550199"}, "46 8 5550199"),
        ({}, None),
    ],
)
def test_a_phone_is_read_as_it_is_shown(row: dict[str, Any], phone: str | None) -> None:
    entity = mapping.record_of(SETTINGS, "account", {**STAMPS, "OrganizationName": "Acme", **row}).entity
    assert isinstance(entity, Account)
    assert entity.phone == phone


def test_permission_hints_are_no_deletions() -> None:
    record = mapping.record_of(SETTINGS, "account", {**STAMPS, "OrganizationName": "Acme", "DeleteFlag": True})
    assert not record.gone


def test_another_systems_reference_is_not_our_number() -> None:
    row = {**STAMPS, "SourceSystem": "CSV", "SourceSystemReferenceValue": "7"}
    assert mapping.number_of(SETTINGS, row) is None
    assert mapping.number_of(SETTINGS, {**row, "SourceSystem": "ZOHO_CRM"}) == "7"
    children = {"items": [{"SourceSystem": "ZOHO_CRM", "SourceSystemReferenceValue": "9", "Status": "A"}]}
    assert mapping.number_of(SETTINGS, {**row, "SourceSystemReference": children}) == "9"


def test_a_type_without_a_word_is_told_as_it_stands() -> None:
    entity = mapping.record_of(SETTINGS, "account", {**STAMPS, "Type": "ZCA_PARTNER"}).entity
    assert isinstance(entity, Account)
    assert entity.category == "ZCA_PARTNER"


@pytest.mark.parametrize(
    "attribute", ["AddressLine2", "City", "Country", "OrganizationName", "SourceSystemReferenceValue", "New_c"]
)
def test_what_oracle_blames_is_told_in_our_words(attribute: str) -> None:
    told = {
        "AddressLine2": "billing.street",
        "City": "billing.city",
        "Country": "billing.country",
        "OrganizationName": "name",
        "SourceSystemReferenceValue": "number",
    }
    assert mapping.canonical("account", attribute) == told.get(attribute, attribute)
