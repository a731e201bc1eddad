"""Bugs planted in the engine and the plugins that only play on twins can catch: vendors that give numbers of their own, that
write a record in several calls, and know one without a number by nothing but its name; an ERP that the CRM leads.

What the memory pair plays has none of that. Each bug is caught by a story that holds without it: the shortest that a seed's was
cut to, or one of that kind.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from ml_connector.ports.sink import Create
from ml_connector.simulation import Made, Make, verdict_on
from ml_connector.simulation.guarantees import BLIND, LEDGER, RESTS
from ml_connector.simulation.story import Edit, Enter, Run, RunKilledAtWrite, RunMeanwhile, Step, Wait
from ml_connector.sync.doubt import Doubts
from ml_connector.sync.two_way import TwoWay
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.simulate.pair import HAZARDS, TwinPair
from ml_connector_adapters.runner.simulate.script import scripts
from ml_connector_ifs_cloud.account_sink import AccountSink
from ml_connector_ifs_cloud.sinking import IfsSink
from ml_connector_oracle_fusion.customers import Customers
from ml_connector_oracle_fusion.provision import Provisioning
from ml_connector_oracle_fusion.sink import PartySink
from ml_connector_qad.sinking import QadSink

Plant = Callable[[pytest.MonkeyPatch], None]


ONE_WAY: Final = 0
BOTH_WAYS: Final = -1


@functools.cache
def played(pair: str, way: int) -> Make:
    erp, _, crm = pair.partition(":")
    systems = discover().systems
    script = scripts(systems[erp].recipes[crm], systems[erp], systems[crm])[way]
    return lambda random: Made(TwinPair(pair, script, random), [], HAZARDS)


def the_number_that_the_erp_gave_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TwoWay, "filled", lambda self, near, learnt: ())


def a_write_in_several_calls_is_taken_for_one(patch: pytest.MonkeyPatch) -> None:
    limits = IfsSink.limits.fget
    assert limits is not None
    patch.setattr(IfsSink, "limits", property(lambda self: msgspec.structs.replace(limits(self), in_steps=False)))


def who_has_no_number_yet_is_not_looked_up(patch: pytest.MonkeyPatch) -> None:
    find = AccountSink.find

    async def forgetful(self: Any, keys: Any) -> Any:
        found = await find(self, [key for key in keys if key.field == "number"])
        return {key: found.get(key, []) for key in keys}

    async def unknown(self: Any, key: Any) -> None: ...

    patch.setattr(AccountSink, "find", forgetful)
    patch.setattr(AccountSink, "known", unknown)


def half_a_write_is_told_as_the_whole(patch: pytest.MonkeyPatch) -> None:
    standing = Doubts._standing

    def boastful(self: Any, intent: Any, sent: Any, stands: Any) -> Any:
        from ml_connector.sync.doubt import _changes

        return _changes(intent) if standing(self, intent, sent, stands) else ()

    patch.setattr(Doubts, "_standing", boastful)


def an_emptied_way_to_reach_a_customer_stays(patch: pytest.MonkeyPatch) -> None:
    ways = AccountSink._ways

    async def deaf(self: Any, steps: Any, found: Any, number: Any, children: Any, entity: Any) -> None:
        kept = {name: msgspec.UNSET for name in ("phone", "website") if getattr(entity, name) is None}
        await ways(self, steps, found, number, children, msgspec.structs.replace(entity, **kept))

    patch.setattr(AccountSink, "_ways", deaf)


def somebodys_edit_between_look_and_write_is_not_minded(patch: pytest.MonkeyPatch) -> None:
    standing = QadSink.standing

    async def heedless(self: Any, record_id: Any, version: Any) -> Any:
        return await standing(self, record_id, None)

    patch.setattr(QadSink, "standing", heedless)


def who_was_cut_off_on_the_way_to_invoices_stays_so(patch: pytest.MonkeyPatch) -> None:
    wants = Provisioning._wants
    patch.setattr(Provisioning, "_wants", lambda self, job: isinstance(job.write, Create) and wants(self, job))


def a_customer_account_is_made_without_a_look(patch: pytest.MonkeyPatch) -> None:
    async def blind(self: Any, party: str) -> list[Any]:
        return []

    patch.setattr(Customers, "of_party", blind)
    patch.setattr(Customers, "_known_as", lambda self, reference: {})


def what_the_crm_calls_a_party_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartySink, "_renumbered", lambda self, write: {})


NEW = {"name": "Newcomer 1", "phone": "+46 8 00001", "website": "https://www.acme1.example"}
ENTERED = (Run(), Wait(seconds=30), Enter(side="right", kind="account", number="new-1", fields=NEW), Wait(seconds=30))


def edited(number: str = "C-0001", **fields: str | None) -> tuple[Step, ...]:
    return Wait(seconds=30), Edit(side="right", kind="account", number=number, fields=fields), Wait(seconds=30)


def meanwhile(touch: int, number: str, **fields: str) -> Step:
    edit = Edit(side="left", kind="account", number=number, fields=fields)
    return RunMeanwhile(touch=touch, apart=1, edits=[edit])


IFS = played("ifs-cloud:zoho-crm", BOTH_WAYS)
QAD = played("qad:zoho-crm", BOTH_WAYS)
ORACLE = played("oracle-fusion:zoho-crm", BOTH_WAYS)
FINANCE = played("oracle-fusion:zoho-crm", ONE_WAY)


@pytest.mark.parametrize(
    ("make", "plant", "story", "invariant"),
    [
        (IFS, the_number_that_the_erp_gave_is_forgotten, (*ENTERED, Run()), RESTS),
        (IFS, a_write_in_several_calls_is_taken_for_one, (*ENTERED, RunKilledAtWrite(write=2)), BLIND),
        (IFS, who_has_no_number_yet_is_not_looked_up, (*ENTERED, RunKilledAtWrite(write=1)), LEDGER),
        (
            IFS,
            half_a_write_is_told_as_the_whole,
            (Run(), *edited(phone="+46 8 1", website="https://acme.example"), RunKilledAtWrite(write=1)),
            LEDGER,
        ),
        (
            IFS,
            an_emptied_way_to_reach_a_customer_stays,
            (Run(), *edited(website="https://acme.example"), Run(), *edited(website=None)),
            RESTS,
        ),
        (
            QAD,
            somebodys_edit_between_look_and_write_is_not_minded,
            (Run(), *edited("C1001", phone="+46 8 1"), meanwhile(40, "C1001", phone="+46 8 2")),
            BLIND,
        ),
        (ORACLE, what_the_crm_calls_a_party_is_not_kept, (*ENTERED, Run()), RESTS),
        (FINANCE, who_was_cut_off_on_the_way_to_invoices_stays_so, (RunKilledAtWrite(write=2),), RESTS),
        (FINANCE, a_customer_account_is_made_without_a_look, (RunKilledAtWrite(write=2),), RESTS),
    ],
)
def test_a_planted_bug_is_caught(
    make: Make, plant: Plant, story: tuple[Step, ...], invariant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verdict_on(make, 0, story).broken == []
    plant(monkeypatch)
    assert invariant in {each.invariant for each in verdict_on(make, 0, story).broken}
