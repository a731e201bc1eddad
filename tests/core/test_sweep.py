"""What only a sweep can tell: records that vanished, and records that came back."""

import pytest
from engine import CUSTOMERS, Engine, customer

from ml_connector.errors import ContractBroken


async def test_a_record_is_gone_only_when_two_complete_sweeps_missed_it() -> None:
    engine = Engine("sweep")
    acme = engine.erp.put(customer())
    for number in range(9):
        engine.erp.put(customer(f"C-{number}"))
    await engine.run()
    engine.erp.delete_as_person("account", acme)
    await engine.run()
    assert (await engine.link("C-100")).standing == "agreed"
    await engine.run()
    assert (await engine.link("C-100")).standing == "gone"
    assert "C-100" in engine.there()  # deletes = "ignore"


async def test_a_mass_disappearance_is_a_fault_before_it_is_a_deletion() -> None:
    engine = Engine("sweep")
    ids = [engine.erp.put(customer(f"C-{number}")) for number in range(40)]
    await engine.run()
    for gone in ids[:30]:
        engine.erp.delete_as_person("account", gone)
    for _ in range(3):
        with pytest.raises(ContractBroken, match="30 of 40"):
            await engine.run()
    assert dict(await engine.state.links.tally(CUSTOMERS.name)).get("gone", 0) == 0


async def test_a_person_may_say_how_many_really_are_deleted() -> None:
    engine = Engine("sweep")
    ids = [engine.erp.put(customer(f"C-{number}")) for number in range(40)]
    await engine.run()
    for gone in ids[:30]:
        engine.erp.delete_as_person("account", gone)
    with pytest.raises(ContractBroken, match=r"--allow-missing 30"):
        await engine.run(allow_missing=29)
    await engine.run(allow_missing=30)
    assert dict(await engine.state.links.tally(CUSTOMERS.name))["gone"] == 30
    entries = [each.entry async for each in engine.state.ledger.entries() if each.entry.action == "gone"]
    assert len(entries) == 30
    assert {entry.reason for entry in entries} == {"absent from a complete sweep of erp, and a person said that it is deleted"}
    assert (await engine.run()).outcome == "green"


async def test_an_unchanged_sweep_reads_no_record_in_full() -> None:
    engine = Engine("sweep")
    for number in range(120):
        engine.erp.put(customer(f"C-{number:03}"))
    await engine.run()
    await engine.run()
    before = engine.erp.calls
    run = await engine.run()
    assert run.counts.unchanged == 120
    assert engine.erp.calls - before == 4  # three pages and the empty one after them
