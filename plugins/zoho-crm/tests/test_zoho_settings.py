"""What a user may write about a connection, and what is caught before the first call."""

import subprocess
import sys
from datetime import timedelta

import msgspec
import pytest

from ml_connector_zoho_crm.plugin import SPEC, ml_connector_systems
from ml_connector_zoho_crm.settings import span


def test_the_least_that_a_user_writes_is_enough(make_settings):
    settings = make_settings()
    assert settings.key("account") == "ERP_Customer_No"
    assert settings.key("deal") == "ERP_Order_No"


def test_one_key_of_ones_own_leaves_the_others(make_settings):
    settings = make_settings(keys={"account": "SAP_No"})
    assert (settings.key("account"), settings.key("vendor")) == ("SAP_No", "ERP_Vendor_No")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"refresh_token": None}, "refresh_token is missing"),
        ({"grant": "client_credentials"}, "needs scope and soid"),
        ({"edition": "free", "limits": {"concurrency": 6}}, "takes 5 calls"),
        ({"order_lines": "custom_subform"}, "subform"),
        ({"keys": {"account": "ERP Customer No"}}, "not an API name"),
        ({"channel_ttl": "8d"}, "a week at most"),
        ({"channel_ttl": "soon"}, "no span of time"),
        ({"accounts_server": "http://accounts.zoho.eu"}, "https://"),
        ({"coql_page": 2001}, "coql_page"),
        ({"api_version": "8"}, "api_version"),
        ({"colour": "red"}, "colour"),
        ({"client_secret": "1000.secret"}, "never written out"),
    ],
)
def test_a_mistake_is_told_in_words(make_settings, values, words):
    with pytest.raises((msgspec.ValidationError, ValueError), match=words):
        make_settings(**values)


def test_spans_of_time_are_read_as_written():
    assert [span(text) for text in ("90s", "30m", "12h", "6d")] == [
        timedelta(seconds=90),
        timedelta(minutes=30),
        timedelta(hours=12),
        timedelta(days=6),
    ]


def test_the_plugin_offers_zoho_crm():
    assert ml_connector_systems() == [SPEC]
    assert (SPEC.name, "account" in SPEC.reads, "deal" in SPEC.writes, SPEC.notices) == ("zoho-crm", True, True, True)


def test_listing_the_plugin_imports_nothing_heavy():
    code = "import sys, ml_connector_zoho_crm.plugin; print([m for m in ('httpx', 'opentelemetry') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
