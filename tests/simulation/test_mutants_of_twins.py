"""Bugs planted in the engine and the plugins that only two-way play on twins can catch: vendors that give numbers of their own,
that write a record in several calls, and know one without a number by nothing but its name.

What the memory pair plays has none of that, and one way the recipes never write an account into an ERP. Each bug is caught by a
story that holds without it: the shortest that a seed's was cut to, or one of that kind.
"""

import functools
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from ml_connector.simulation import Made, verdict_on
from ml_connector.simulation.guarantees import BLIND, LEDGER, RESTS
from ml_connector.simulation.story import Edit, Enter, Run, RunKilledAtWrite, Step, Wait
from ml_connector.sync.doubt import Doubts
from ml_connector.sync.two_way import TwoWay
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.simulate.pair import HAZARDS, TwinPair
from ml_connector_adapters.runner.simulate.script import scripts
from ml_connector_ifs_cloud.account_sink import AccountSink
from ml_connector_ifs_cloud.sinking import IfsSink

Plant = Callable[[pytest.MonkeyPatch], None]


@functools.cache
def script() -> Any:
    systems = discover().systems
    return scripts(systems["ifs-cloud"].recipes["zoho-crm"], systems["ifs-cloud"], systems["zoho-crm"])[-1]


def both_ways(random: Random) -> Made:
    return Made(TwinPair("ifs-cloud:zoho-crm", script(), random), [], HAZARDS)


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


NEW = {"name": "Newcomer 1", "phone": "+46 8 00001", "website": "https://www.acme1.example"}
ENTERED = (Run(), Wait(seconds=30), Enter(side="right", kind="account", number="new-1", fields=NEW), Wait(seconds=30))


def edited(**fields: str | None) -> tuple[Step, ...]:
    return Wait(seconds=30), Edit(side="right", kind="account", number="C-0001", fields=fields), Wait(seconds=30)


@pytest.mark.parametrize(
    ("plant", "story", "invariant"),
    [
        (the_number_that_the_erp_gave_is_forgotten, (*ENTERED, Run()), RESTS),
        (a_write_in_several_calls_is_taken_for_one, (*ENTERED, RunKilledAtWrite(write=2)), BLIND),
        (who_has_no_number_yet_is_not_looked_up, (*ENTERED, RunKilledAtWrite(write=1)), LEDGER),
        (
            half_a_write_is_told_as_the_whole,
            (Run(), *edited(phone="+46 8 1", website="https://acme.example"), RunKilledAtWrite(write=1)),
            LEDGER,
        ),
        (
            an_emptied_way_to_reach_a_customer_stays,
            (Run(), *edited(website="https://acme.example"), Run(), *edited(website=None)),
            RESTS,
        ),
    ],
)
def test_a_planted_bug_is_caught(
    plant: Plant, story: tuple[Step, ...], invariant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verdict_on(both_ways, 0, story).broken == []
    plant(monkeypatch)
    assert invariant in {each.invariant for each in verdict_on(both_ways, 0, story).broken}
