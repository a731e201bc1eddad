"""Sessions: how they begin, how long they are kept, and that a refused password is left alone."""

from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest
from msgspec import structs
from qad_world import WatchedTwin

from ml_connector.errors import AuthRejected, ContractBroken
from ml_connector.system import Connection
from ml_connector.testing import ManualClock
from ml_connector.twin import Fault, TwinRequest
from ml_connector_qad.twin import CLASSIC, DEFAULT

Opener = Callable[..., Connection]


def log_ins(twin: WatchedTwin) -> list[dict[str, str]]:
    return [
        dict(parse_qsl(request.body.decode() or request.query)) for request in twin.requests if "/oauth/token" in request.path
    ]


@pytest.fixture
def customer(twin: WatchedTwin) -> str:
    twin.put("customerV2s", customerCode="C-100", addressName="Acme")
    return "C-100"


async def test_the_log_in_travels_in_the_body_unless_the_installation_reads_the_query(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    for installation, in_query in ((DEFAULT, False), (CLASSIC, True)):
        twin = make_twin(installation)
        twin.put("customerV2s", customerCode="C-100", addressName="Acme")
        await open_twin(twin).sources["account"].fetch(["C-100"])
        [request] = [one for one in twin.requests if "/oauth/token" in one.path][-1:]
        assert ("password" in request.query) == in_query
        assert (b"password" in request.body) != in_query
        twin.identity.forget()


async def test_a_session_is_renewed_by_its_refresh_token_and_not_by_the_password(
    twin: WatchedTwin, open_twin: Opener, clock: ManualClock, customer: str
) -> None:
    source = open_twin(twin).sources["account"]
    await source.fetch([customer])
    clock.advance(1790)
    await source.fetch([customer])
    assert [one["grant_type"] for one in log_ins(twin)] == ["password", "refresh_token"]


async def test_a_refresh_token_that_is_dead_leads_to_one_log_in(
    twin: WatchedTwin, open_twin: Opener, clock: ManualClock, customer: str
) -> None:
    source = open_twin(twin).sources["account"]
    await source.fetch([customer])
    twin.identity.refreshers.clear()
    clock.advance(1790)
    assert await source.fetch([customer])
    assert [one["grant_type"] for one in log_ins(twin)] == ["password", "refresh_token", "password"]


async def test_a_session_that_lies_idle_is_replaced_before_the_server_refuses_it(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener, clock: ManualClock
) -> None:
    twin = make_twin(structs.replace(DEFAULT, expires_in=28_800, idle_minutes=30))
    twin.put("customerV2s", customerCode="C-100", addressName="Acme")
    source = open_twin(twin).sources["account"]
    await source.fetch(["C-100"])
    clock.advance(31 * 60)
    await source.fetch(["C-100"])
    assert not [call for call in twin.calls if call[2] == 401]
    assert len(log_ins(twin)) == 2


async def test_a_session_that_is_used_all_the_time_ends_ahead_of_its_length(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener, clock: ManualClock
) -> None:
    twin = make_twin(structs.replace(DEFAULT, expires_in=36_000, session_minutes=60))
    twin.put("customerV2s", customerCode="C-100", addressName="Acme")
    source = open_twin(twin).sources["account"]
    for _ in range(9):
        await source.fetch(["C-100"])
        clock.advance(10 * 60)
    assert not [call for call in twin.calls if call[2] == 401]
    assert len(log_ins(twin)) == 2


async def test_another_log_in_of_the_same_user_costs_one_log_in_and_no_record(
    twin: WatchedTwin, open_twin: Opener, customer: str
) -> None:
    source = open_twin(twin).sources["account"]
    await source.fetch([customer])
    twin.identity.sessions.clear()  # the licence allows one session, and somebody else has begun his
    assert [record.id for record in await source.fetch([customer])] == [customer]
    assert [one["grant_type"] for one in log_ins(twin)] == ["password", "password"]


async def test_a_refused_password_is_not_tried_again_so_that_the_account_is_not_locked(
    twin: WatchedTwin, open_twin: Opener, clock: ManualClock
) -> None:
    connection = open_twin(twin)
    twin.identity.password = "another"
    for _ in range(9):
        with pytest.raises(AuthRejected) as refused:
            await connection.sources["account"].fetch(["C-100"])
        clock.advance(30)
    assert "password" in refused.value.fix
    assert twin.identity.failures == 1


async def test_basic_needs_no_session_where_the_instance_takes_it(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    for takes in (True, False):
        twin = make_twin(structs.replace(DEFAULT, basic=takes))
        twin.put("customerV2s", customerCode="C-100", addressName="Acme")
        source = open_twin(twin, auth={"mode": "basic"}).sources["account"]
        if takes:
            assert await source.fetch(["C-100"])
        else:
            with pytest.raises(AuthRejected):
                await source.fetch(["C-100"])
        assert not log_ins(twin)


async def test_a_token_from_elsewhere_is_sent_as_it_is(twin: WatchedTwin, open_twin: Opener, customer: str) -> None:
    form = b"client_id=MLCONNECTOR&grant_type=password&username=mlc&password=qad-twin-password"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    await twin(TwinRequest("POST", "acme.qad.example", "/clouderp/oauth/token", kind, form))
    twin.secrets = lambda: {"twin/qad_password": next(iter(twin.identity.sessions))}  # type: ignore[method-assign]
    static = open_twin(twin, auth={"mode": "bearer_static", "token": "secret:twin/qad_password"})
    assert await static.sources["account"].fetch([customer])
    assert len(log_ins(twin)) == 1


async def test_a_log_in_page_in_place_of_data_is_one_log_in_and_then_an_error_about_the_address(
    twin: WatchedTwin, open_twin: Opener, customer: str
) -> None:
    source = open_twin(twin).sources["account"]
    await source.fetch([customer])
    twin.login_pages = 1
    assert await source.fetch([customer])
    twin.login_pages, twin.login_redirects = 1, True
    assert await source.fetch([customer])
    twin.login_pages, twin.login_redirects = 9, False
    with pytest.raises(AuthRejected) as refused:
        await source.fetch([customer])
    assert "context root" in refused.value.fix


async def test_a_wrong_context_root_is_told_as_such(twin: WatchedTwin, open_twin: Opener) -> None:
    source = open_twin(twin, base_url="https://acme.qad.example/erp").sources["account"]
    with pytest.raises(AuthRejected) as refused:
        await source.fetch(["C-100"])
    assert "context root" in refused.value.what


async def test_a_role_without_the_component_stops_that_kind_alone(twin: WatchedTwin, open_twin: Opener, customer: str) -> None:
    twin.put("items", itemCode="P-100", description="Valve")
    connection = open_twin(twin)
    twin.faults.add(Fault("status", status=403, path="/items", times=99))
    with pytest.raises(Exception, match="no permission"):
        await connection.sources["product"].fetch(["P-100"])
    assert await connection.sources["account"].fetch([customer])


async def test_a_program_that_fails_in_the_server_every_time_is_told_with_its_words(
    twin: WatchedTwin, open_twin: Opener, customer: str
) -> None:
    source = open_twin(twin).sources["account"]
    await source.fetch([customer])
    stack = b'{"message":"com.progress.openedge.SysError: stack trace at cust.p"}'
    twin.faults.add(Fault("status", status=500, body=stack, path="/customerV2s", times=2))
    assert await source.fetch([customer])  # twice may be chance
    twin.faults.add(Fault("status", status=500, body=stack, path="/customerV2s", times=99))
    with pytest.raises(ContractBroken, match=r"cust\.p"):
        await source.fetch([customer])
