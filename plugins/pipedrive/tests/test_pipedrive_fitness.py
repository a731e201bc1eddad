"""What ping says of a company, and what it may create."""

from collections.abc import Callable
from typing import Any

from ml_connector.ports.fitness import Finding, Need

WRITES = Need(kind="account", access="write", fields=frozenset({"number", "name", "credit_limit", "extra.Region"}))


def of(findings: list[Finding], about: str) -> list[Finding]:
    return [finding for finding in findings if finding.about == about]


async def test_a_bare_company_lacks_the_fields_and_gets_them(pipedrive: Callable[..., Any]) -> None:
    """Each of the type that its use asks for; what is there is left alone."""
    world = pipedrive(twin={"erp_fields": False})
    fitness = world.connection.fitness
    before = await fitness.inspect([WRITES])
    lacking = [finding.about for finding in before if finding.repairable]
    assert lacking == ["account.credit_limit", "account.extra.Region", "account.number"]
    assert {finding.level for finding in await fitness.repair([WRITES])} == {"ok"}
    types = {field.name: field.type for field in world.twin.company.fields["organizations"].values() if field.custom}
    assert types == {"ERP Customer No": "varchar", "Credit limit": "monetary", "Region": "varchar"}
    assert {finding.level for finding in await fitness.inspect([WRITES])} == {"ok"}
    assert await fitness.repair([WRITES]) == []


async def test_whoever_writes_needs_the_key_field_though_no_flow_names_it(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(twin={"erp_fields": False})
    need = Need(kind="contact", access="write", fields=frozenset({"name"}))
    [finding] = await world.connection.fitness.repair([need])
    assert (finding.level, finding.about) == ("ok", "contact.number")
    read = Need(kind="deal", access="read", fields=frozenset({"title"}))
    assert await world.connection.fitness.repair([read]) == []


async def test_a_list_is_created_with_its_options_or_not_at_all(pipedrive: Callable[..., Any]) -> None:
    need = Need(kind="deal", access="write", fields=frozenset({"extra.Order status"}))
    bare = pipedrive(types={"deal.Order status": "enum"})
    [finding] = await bare.connection.fitness.repair([need])
    assert (finding.level, "options" in finding.fix) == ("unfit", True)
    full = pipedrive(types={"deal.Order status": "enum"}, options={"deal.Order status": ["Planned", "Released"]})
    await full.connection.fitness.repair([need])
    options = full.twin.field("deals", "Order status").options
    assert [option["label"] for option in options] == ["Planned", "Released"]


async def test_a_field_of_the_wrong_type_is_told_and_not_mended(pipedrive: Callable[..., Any]) -> None:
    """Types cannot be changed at Pipedrive, and a second field of the name would be worse."""
    world = pipedrive()
    world.twin.add_field("organizations", "Credit limit", "double")
    [finding] = of(await world.connection.fitness.inspect([WRITES]), "account.credit_limit")
    assert (finding.level, finding.repairable, "monetary" in finding.what) == ("unfit", False, True)
    repaired = await world.connection.fitness.repair([WRITES])
    assert of(repaired, "account.credit_limit") == []


async def test_two_key_fields_of_one_name_are_told(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    world.twin.add_field("organizations", "ERP Customer No")
    [finding] = of(await world.connection.fitness.inspect([WRITES]), "account.number")
    assert "2 custom fields" in finding.what


async def test_what_has_no_place_is_told_with_the_setting_that_gives_it_one(pipedrive: Callable[..., Any]) -> None:
    need = Need(kind="account", access="write", fields=frozenset({"language"}))
    [finding] = of(await pipedrive().connection.fitness.inspect([need]), "account.language")
    assert 'fields."account.language"' in finding.fix


async def test_a_missing_scope_or_right_is_told_by_kind(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    world.twin.access.scopes = frozenset({"base", "contacts:full"})
    needs = [WRITES, Need(kind="deal", access="read", fields=frozenset({"stage"}))]
    findings = await world.connection.fitness.inspect(needs)
    assert [finding.level for finding in of(findings, "deal")] == ["unfit"]
    assert [finding.level for finding in of(findings, "webhooks")] == ["warning"]
    assert of(findings, "account.number") == []


async def test_a_user_who_may_not_create_fields_is_told_what_to_do(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(twin={"erp_fields": False})
    world.twin.can_create_fields = False
    findings = await world.connection.fitness.repair([WRITES])
    assert {finding.level for finding in findings} == {"unfit"}
    assert all(finding.fix for finding in findings)


async def test_a_pipeline_that_is_not_there_is_told_with_those_that_are(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(pipeline="Nowhere")
    need = Need(kind="deal", access="read", fields=frozenset({"stage"}))
    [finding] = of(await world.connection.fitness.inspect([need]), "deal.pipeline")
    assert (finding.level, "Sales" in finding.what) == ("unfit", True)


async def test_the_budget_is_told_with_the_shortest_poll_that_it_bears(pipedrive: Callable[..., Any]) -> None:
    """One seat of the smallest plan: polling three kinds every minute would eat it up."""
    world = pipedrive(plan="lite", seats=1)
    kinds: tuple[Any, ...] = ("account", "contact", "deal")
    needs = [Need(kind=kind, access="read", fields=frozenset({"name"})) for kind in kinds]
    [finding, *_] = of(await world.connection.fitness.inspect(needs), "budget")
    assert "30000 tokens a day" in finding.what
    assert "every 6 minutes" in finding.what


async def test_seats_that_do_not_fit_what_pipedrive_says_are_told(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(plan="lite", seats=1, twin={"daily": 180_000})
    assert [finding.level for finding in of(await world.connection.fitness.inspect([WRITES]), "budget")] == ["ok", "warning"]


async def test_leftover_webhooks_are_told(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    for path in ("old", "new"):
        body = {"subscription_url": f"https://sync.acme.example/notices/{path}", "event_action": "*", "event_object": "deal"}
        await world.twin.ask("POST", "v1/webhooks", {**body, "name": "ml-connector crm deal"})
    assert [finding.level for finding in of(await world.connection.fitness.inspect([]), "webhooks")] == ["ok", "warning"]


async def test_a_clock_that_is_off_is_told(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    world.twin.clock.advance(300)
    [finding] = of(await world.connection.fitness.inspect([]), "clock")
    assert (finding.level, finding.what[:5]) == ("warning", "300 s")
