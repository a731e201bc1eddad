"""What the user may write for a connection to IFS Cloud, and how mistakes are told."""

from datetime import UTC

import msgspec
import pytest

from ml_connector_ifs_cloud import plugin

KINDS = ("account", "order", "quote", "deal", "product", "price_list")


def test_four_keys_are_enough(settings):
    told = settings()
    assert told.token_endpoint == "https://acme.ifs.cloud/auth/realms/acme/protocol/openid-connect/token"
    assert (told.page_size, told.watermark_overlap_s, told.entities.order.change_strategy) == (500, 3900, "etag_sweep")
    assert told.time_zone is UTC


def test_a_state_that_the_user_adds_joins_the_known_ones(settings):
    told = settings(state_map={"Reservd": "InFulfilment", "Blocked": "Planned"})
    assert told.state_map["Reservd"] == "InFulfilment"
    assert told.state_map["Blocked"] == "Planned"
    assert told.state_map["Invoiced"] == "Invoiced"


def test_credit_and_invoice_data_are_read_only_where_one_company_is_meant(settings):
    assert "credit" not in settings().children
    assert "credit" not in settings(companies=["10", "20"]).children
    assert settings(companies=["10"]).credit_company == "10"
    assert {"credit", "invoice"} <= settings(companies=["10", "20"], company="20").children


def test_a_dimension_can_be_switched_off_and_a_custom_one_added(settings):
    told = settings(dimensions={"market": None, "cost_center": "Cf_Cost_Center"})
    assert told.extras("order") == {"region": "RegionCode", "district": "DistrictCode", "cost_center": "Cf_Cost_Center"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"base_url": "http://acme.ifs.cloud"}, "must begin with https"),
        ({"base_url": "acme"}, "not a plain address"),
        ({"base_url": "https://user:pw@acme.ifs.cloud"}, "not a plain address"),
        ({"token_url": "http://login.example/token"}, "token_url"),
        ({"server_timezone": "Sweden/Nowhere"}, "Europe/Stockholm"),
        ({"realm": ""}, "API Explorer"),
        ({"entities": {"order": {"gateway": "maim"}}}, 'gateway "maim" is not one of main, int'),
        ({"entities": {"order": {"aliases": ["CustomerOrderSet"]}}}, "Projection.svc/EntitySet"),
        ({"entities": {"account": {"change_strategy": "timestamp", "created_field": None}}}, "needs modified_field"),
        ({"state_map": {"Reserved": "Almost"}}, r"\$\.state_map"),
        ({"custom_fields": {"order": {"stage": "Cf Crm"}}}, "Cf Crm"),
        ({"companies": ["10"], "company": "20"}, 'company "20"'),
        ({"page_sise": 100}, "page_sise"),
        ({"page_size": 9000}, "5000"),
        ({"client_secret": "hunter2"}, "never written out"),
    ],
)
def test_a_mistake_is_told_in_words(settings, told, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        settings(**told)


def test_the_plugin_offers_one_system_without_importing_anything_heavy():
    import subprocess
    import sys

    code = "import sys, ml_connector_ifs_cloud.plugin as p; p.ml_connector_systems(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"httpx", "opentelemetry", "ml_connector_adapters", "xml"} & set(loaded)
    [spec] = plugin.ml_connector_systems()
    assert (spec.name, spec.reads, spec.writes) == ("ifs-cloud", KINDS, KINDS[:4])
