"""What a user writes about a pod, and what is refused before the first call."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ml_connector_oracle_fusion.settings import Settings

Make = Callable[..., Settings]


@pytest.mark.parametrize(
    ("told", "origin"),
    [
        ({"pod": "acme", "region": "us2"}, "https://acme.fa.us2.oraclecloud.com"),
        ({"pod": "ACME-Test", "region": "OCS"}, "https://acme-test.fa.ocs.oraclecloud.com"),
        ({"base_url": "https://ACME.fa.em2.oraclecloud.com/"}, "https://acme.fa.em2.oraclecloud.com"),
        ({"base_url": "https://acme.fa.us6.oraclecloud.com:443"}, "https://acme.fa.us6.oraclecloud.com:443"),
        ({"base_url": "https://erp.acme.example", "any_host": True}, "https://erp.acme.example"),
    ],
)
def test_the_origin_is_said_whole_or_built_of_pod_and_region(make_settings: Make, told: dict[str, Any], origin: str) -> None:
    assert make_settings(**{"base_url": None, **told}).base_url == origin


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"base_url": None}, "base_url"),
        ({"base_url": None, "pod": "acme/x", "region": "us2"}, "base_url"),
        ({"base_url": "http://acme.fa.us2.oraclecloud.com"}, "https"),
        ({"base_url": "https://user:secret@acme.fa.us2.oraclecloud.com"}, "plain origin"),
        ({"base_url": "https://acme.fa.us2.oraclecloud.com/fscmUI"}, "plain origin"),
        ({"base_url": "https://login-acme.fa.us2.oraclecloud.com"}, "signs people in"),
        ({"base_url": "https://acme.example"}, "any_host"),
        ({"client_secret": None}, "client_secret"),
        ({"scope": None}, "scope"),
        ({"token_url": "http://idcs-1.identity.oraclecloud.com/t"}, "token_url"),
        ({"auth": "jwt_assertion"}, "private_key"),
        ({"auth": "jwt_assertion", "private_key": "env:PEM", "key_id": "k"}, "user"),
        ({"client_auth": "assertion"}, "private_key"),
        ({"auth": "basic"}, "user and password"),
        ({"provision": "finance_ready"}, "set_id"),
        ({"number": "source_reference"}, "source_system"),
        ({"number": "field"}, "reference_field"),
        ({"custom_fields": {"account": {"region": "Region; drop"}}}, "attribute"),
        ({"party_number_pattern": "("}, "party_number_pattern"),
        ({"entities": {"vendor": {"strategy": "changes"}}}, "swept"),
        ({"page_size": 500}, "499"),
        ({"rest_framework_version": 10}, "9"),
    ],
)
def test_a_mistake_is_told_at_its_place(make_settings: Make, told: dict[str, Any], complaint: str) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError), match=complaint):
        make_settings(**told)


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ({}, "party_number"),
        ({"source_system": "ZOHO_CRM"}, "source_reference"),
        ({"reference_field": "OrganizationDEO_ZohoId_c"}, "field"),
        ({"source_system": "ZOHO_CRM", "number": "party_number"}, "party_number"),
    ],
)
def test_the_number_lives_where_the_settings_give_it_a_place(make_settings: Make, told: dict[str, Any], place: str) -> None:
    assert make_settings(**told).numbering == place


def test_a_long_row_of_digits_is_a_crms_id_and_no_number_of_oracles(make_settings: Make) -> None:
    pattern = make_settings().party_number
    assert pattern.fullmatch("CDRM_481207")
    assert pattern.fullmatch("10043")
    assert not pattern.fullmatch("5843104000000425008")
