"""What ``ping`` says of an environment, and what ``ping --fix`` makes of it."""

from collections.abc import Callable
from typing import Any

from ml_connector.domain import Kind
from ml_connector.ports.fitness import Finding, Need


def need(kind: Kind, access: Any = "write", *fields: str) -> Need:
    return Need(kind=kind, access=access, fields=frozenset(fields))


async def told(world: Any, *needs: Need) -> dict[str, Finding]:
    return {finding.about: finding for finding in await world.connection.fitness.inspect(needs)}


async def test_a_furnished_environment_is_fit(dynamics: Callable[..., Any]) -> None:
    """Nothing is unfit, and what a first load takes is said in hours."""
    world = dynamics(price_list="Standard")
    findings = await told(world, need("account", "write", "name", "phone"), need("order", "read", "lines", "status"))
    assert {finding.level for finding in findings.values()} == {"ok"}
    assert "1.7 hours" in findings["account.first_load"].what


async def test_what_is_missing_is_created_and_then_found(dynamics: Callable[..., Any]) -> None:
    """Columns for the ERP's numbers and for custom fields, lines' keys, and alternate keys over the numbers."""
    world = dynamics(twin={"erp_columns": False}, price_list="Standard")
    needs = [need("contact", "write", "last_name", "extra.mlc_region"), need("order", "write", "lines"), need("account")]
    before = await told(world, *needs)
    assert before["contact.number"].repairable
    assert before["contact.extra.mlc_region"].repairable
    assert before["order.lines.key"].repairable
    assert before["account.number"].level == "warning"
    made = await world.connection.fitness.repair(needs)
    assert {finding.level for finding in made} == {"ok"}
    columns = world.twin.env.defs["contact"].columns
    assert (columns["mlc_erpkey"].schema_name, columns["mlc_region"].length) == ("mlc_Erpkey", 255)
    assert {finding.level for finding in (await told(world, *needs)).values()} == {"ok"}
    assert await world.connection.fitness.repair(needs) == []


async def test_a_key_over_duplicates_fails_and_says_what_to_do(dynamics: Callable[..., Any]) -> None:
    """Dataverse builds the index in the background and gives up on duplicates."""
    world = dynamics(twin={"erp_columns": False})
    world.account(accountnumber="C-1")
    world.account(accountnumber="C-1")
    [finding] = await world.connection.fitness.repair([need("account")])
    assert (finding.level, "duplicates" in finding.fix) == ("unfit", True)


async def test_a_user_who_may_not_customise_is_told_which_role_helps(dynamics: Callable[..., Any]) -> None:
    """The set-up command needs more rights than the flows; it is run once."""
    world = dynamics(twin={"erp_columns": False})
    world.twin.definitions.may_customise = False
    findings = await world.connection.fitness.repair([need("contact")])
    assert {finding.level for finding in findings} == {"unfit"}
    assert "role" in findings[0].fix


async def test_missing_rights_are_named(dynamics: Callable[..., Any]) -> None:
    """By the privilege's own name, as the role editor shows it."""
    world = dynamics()
    world.twin.writer.no_rights.add(("Write", "account"))
    world.twin.depth = "Local"
    findings = await told(world, need("account", "write", "name"), need("account", "read", "name"))
    assert findings["account"].what == "the privilege prvWriteAccount is missing"
    assert "organisation-wide" in findings["account.changes"].what


async def test_tracking_that_is_off_is_a_warning_unless_it_is_demanded(dynamics: Callable[..., Any]) -> None:
    """Without it deletions are not told."""
    world = dynamics()
    world.twin.env.defs["account"].tracked = False
    assert (await told(world, need("account", "read")))["account.changes"].level == "warning"
    assert (await told(world.again(changes="track"), need("account", "read")))["account.changes"].level == "unfit"


async def test_words_that_stand_for_nothing_are_found_before_an_order_is(dynamics: Callable[..., Any]) -> None:
    """Status numbers, choices, price list and unit group are checked against the environment."""
    world = dynamics(
        order_status={"Released": 100099},
        choices={"account.payment_terms": {"30": 77}},
        price_list="Retail",
        unit_group="Metric",
    )
    findings = await told(world, need("order"), need("account"), need("product"))
    assert {"order.status", "account.payment_terms", "price_list", "product.unit"} <= findings.keys()
    assert all(
        findings[name].level == "unfit" for name in ("order.status", "account.payment_terms", "price_list", "product.unit")
    )


async def test_a_field_without_a_place_says_how_to_give_it_one(dynamics: Callable[..., Any]) -> None:
    """The setting is spelled out."""
    world = dynamics()
    findings = await told(world, need("account", "write", "tax_id"))
    assert findings["account.tax_id"].fix == 'Give it one: fields."account.tax_id" = "mlc_tax_id"'
    placed = world.again(fields={"account.tax_id": "mlc_tax_id"})
    assert (await told(placed, need("account", "write", "tax_id")))["account.tax_id"].repairable


async def test_a_clock_that_is_off_is_told(dynamics: Callable[..., Any]) -> None:
    """Polling by time depends on it."""
    world = dynamics()
    world.twin.clock.advance(40)
    assert (await told(world))["clock"].level == "warning"
    world.twin.clock.advance(400)
    assert (await told(world))["clock"].level == "unfit"
