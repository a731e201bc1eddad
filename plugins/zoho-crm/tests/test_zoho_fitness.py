"""What ``ping`` tells of an organisation, and what ``ping --fix`` mends."""

import pytest

from ml_connector.domain import Account
from ml_connector.errors import AuthRejected
from ml_connector.ports.fitness import Need
from ml_connector.ports.sink import Create, Key, Written


def needs(*fields, kind="account", access="write"):
    return [Need(kind=kind, access=access, fields=frozenset(fields or ("number", "name")))]


async def inspect(world, *fields, **how):
    return await world.connection.fitness.inspect(needs(*fields, **how))


def unfit(findings):
    return {finding.about: finding for finding in findings if finding.level == "unfit"}


async def test_a_fit_organisation_has_nothing_to_mend(zoho):
    findings = await inspect(zoho(), "number", "name", "billing.city", "phone")
    assert unfit(findings) == {}
    assert {"token", "organisation", "quota", "account"} <= {finding.about for finding in findings}


async def test_a_missing_key_field_is_told_and_can_be_mended(zoho):
    world = zoho(twin={"erp_fields": False})
    finding = unfit(await inspect(world))["account.number"]
    assert finding.repairable
    assert "ERP_Customer_No" in finding.what


@pytest.mark.parametrize("both", [True, False])
async def test_the_key_field_is_created_and_then_writing_works(zoho, both):
    world = zoho(twin={"erp_fields": False})
    world.twin.metadata.external_beside_unique = both
    done = await world.connection.fitness.repair(needs("number", "name", "extra.Cost_Center"))
    assert {finding.level for finding in done} == {"ok"}
    assert unfit(await inspect(world, "number", "name", "extra.Cost_Center")) == {}
    write = Create(key=Key("number", "C-100"), entity=Account(number="C-100", name="Acme"))
    (outcome,) = await world.connection.sinks["account"].write([write])
    assert isinstance(outcome, Written)


async def test_more_than_five_fields_take_more_than_one_call(zoho):
    world = zoho()
    done = await world.connection.fitness.repair(needs("number", *(f"extra.Extra_{n}" for n in range(7))))
    assert [finding.level for finding in done] == ["ok"] * 7
    assert len(world.paths("POST", "settings/fields")) == 2


async def test_without_the_right_to_create_fields_the_fix_says_so(zoho):
    world = zoho(twin={"erp_fields": False, "can_create_fields": False})
    (finding,) = await world.connection.fitness.repair(needs())
    assert finding.level == "unfit"
    assert finding.fix


async def test_a_key_that_is_not_unique_is_unfit(zoho):
    world = zoho(keys={"account": "Ticker_Symbol"})
    assert "neither unique nor external" in unfit(await inspect(world))["account.number"].what


async def test_a_field_that_zoho_does_not_have_is_named(zoho):
    found = unfit(await inspect(zoho(), "name", "extra.Cost_Center", "tax_id"))
    assert (found["account.extra.Cost_Center"].repairable, found["account.tax_id"].repairable) == (True, False)


async def test_a_module_that_the_edition_lacks_is_unfit_and_the_others_are_still_looked_at(zoho):
    world = zoho()
    world.twin.without_module("Sales_Orders")
    both = [*needs(kind="order"), *needs()]
    findings = await world.connection.fitness.inspect(both)
    assert set(unfit(findings)) == {"order"}
    assert "account" in {finding.about for finding in findings}


async def test_a_missing_scope_is_named_for_what_needs_it(zoho):
    world = zoho()
    world.twin.accounts.scopes = frozenset({"ZohoCRM.settings.ALL", "ZohoCRM.modules.ALL", "ZohoCRM.org.READ"})
    findings = await inspect(world)
    assert "scope" in unfit(findings)["account"].what
    assert "user" in {finding.about for finding in findings if finding.level == "warning"}


async def test_a_refused_token_is_an_error_not_a_finding(zoho):
    world = zoho()
    world.twin.accounts.grants.clear()
    with pytest.raises(AuthRejected):
        await inspect(world)


async def test_a_clock_that_is_off_is_told(zoho):
    world = zoho()
    world.connection.fitness._api.vendor_time = "Mon, 02 Mar 2026 12:03:00 GMT"  # the Date header of Zoho's last answer
    findings = await inspect(world)
    assert unfit(findings)["clock"].what.startswith("180 s")


async def test_defaults_that_zoho_would_refuse_are_told(zoho):
    defaults = {"deal": {"Stage": "Signed", "Colour": "red"}}
    found = unfit(await inspect(zoho(create_defaults=defaults), kind="deal"))
    assert "Signed" in found["deal.stage"].what
    assert "Colour" in found["deal.Colour"].what


async def test_a_pipeline_that_is_not_there_is_told(zoho):
    found = unfit(await inspect(zoho(pipeline="Export"), kind="deal"))
    assert 'no pipeline "Export"' in found["deal.pipeline"].what


async def test_more_concurrency_than_the_edition_takes_is_unfit(zoho):
    world = zoho(limits={"concurrency": 21})
    assert "20 calls at once" in unfit(await inspect(world))["quota"].what
