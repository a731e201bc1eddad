"""Batches on the wire, settings, tokens: what is spelled exactly so or not at all."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_connector.errors import AuthRejected, ContractBroken
from ml_connector_adapters.http.twins import serving
from ml_connector_dynamics365_sales import multipart as ours
from ml_connector_dynamics365_sales.multipart import Request
from ml_connector_dynamics365_sales.plugin import SPEC
from ml_connector_dynamics365_sales.twin import multipart as theirs
from ml_connector_dynamics365_sales.wire import encode

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BODIES = st.none() | st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=4).map(encode)
REQUESTS = st.lists(
    st.builds(
        lambda method, name, match, body: Request(
            method=method, target=f"/api/data/v9.2/accounts({name})", headers={"If-Match": match} if match else {}, body=body
        ),
        st.sampled_from(["PATCH", "POST", "DELETE"]),
        st.uuids().map(str),
        st.sampled_from(["", "*", 'W/"123"']),
        BODIES,
    ),
    min_size=1,
    max_size=5,
)


@UNHURRIED
@given(REQUESTS)
def test_a_batch_is_read_as_it_was_written(requests: list[Request]) -> None:
    """Whatever the bodies hold: the server's own strict reader finds every request in it."""
    for wrap in (ours.batch, ours.change_set):
        parts = [
            part
            for told in theirs.parts(ours.content_type(), wrap(requests))
            for part in (told if isinstance(told, list) else [told])
        ]
        assert [(part.method, part.target) for part in parts] == [(one.method, one.target) for one in requests]
        assert [part.headers.get("if-match", "") for part in parts] == [one.headers.get("If-Match", "") for one in requests]
        assert [part.body for part in parts] == [one.body or b"" for one in requests]


def test_the_answer_to_a_batch_that_is_none_is_no_answer() -> None:
    """A proxy's page must not be taken for an empty batch."""
    with pytest.raises(ContractBroken):
        ours.responses("text/html", b"<html></html>")
    with pytest.raises(ContractBroken):
        ours.responses("multipart/mixed; boundary=x", b"--x\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--x--")


async def test_lines_must_end_as_the_server_wants_them(dynamics: Callable[..., Any]) -> None:
    """Bare line feeds are refused by the twin, as by the vendor."""
    world = dynamics()
    body = ours.batch([Request(method="DELETE", target="/api/data/v9.2/accounts(1)")]).replace(b"\r\n", b"\n")
    told = await world.twin.ask("POST", "$batch", body, content_type=ours.content_type())
    assert told.status == 400


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"org_url": "http://acme.crm4.dynamics.com"}, "org_url"),
        ({"org_url": "https://acme.crm4.dynamics.com/api/data"}, "org_url"),
        ({"authority": "ftp://login"}, "authority"),
        ({"keys": {"account": "Account Number"}}, "logical name"),
        ({"date_zone": "Nowhere/Land"}, "date_zone"),
    ],
)
def test_settings_that_cannot_be_meant_are_told_at_their_place(
    make_settings: Callable[..., Any], told: dict[str, Any], word: str
) -> None:
    """Before the first call."""
    with pytest.raises(Exception, match=word):
        make_settings(**told)


def test_a_publishers_prefix_names_the_columns(make_settings: Callable[..., Any]) -> None:
    """Whoever has a publisher of their own says so once."""
    settings = make_settings(prefix="acme")
    assert (settings.key("contact"), settings.key("account")) == ("acme_erpkey", "accountnumber")


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (lambda identity: setattr(identity, "client_secret", "another"), "secret"),
        (lambda identity: setattr(identity, "secret_expired", True), "expire"),
        (lambda identity: setattr(identity, "client_id", "another"), "client_id"),
        (lambda identity: setattr(identity, "tenant", "another"), "tenant_id"),
    ],
)
async def test_entras_refusals_say_what_to_do(dynamics: Callable[..., Any], spoil: Callable[[Any], None], advice: str) -> None:
    """With Entra's number for whoever looks it up, and without a word of its text."""
    world = dynamics()
    spoil(world.twin.identity)
    with pytest.raises(AuthRejected) as caught:
        await world.connection.sources["account"].fetch(["5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f"])
    assert advice in caught.value.fix
    assert caught.value.code.startswith("AADSTS")
    assert "Trace" not in str(caught.value)


async def test_the_twin_serves_over_a_socket() -> None:
    """The same twin, for demos and for people who are curious."""
    twin = SPEC.twin()  # type: ignore[misc]
    twin.fill(3, 2)
    async with serving(twin) as base:
        settings, secrets = twin.settings(base), twin.secrets()
        form = {
            "grant_type": "client_credentials",
            "client_id": settings["client_id"],
            "client_secret": secrets["twin/dynamics_client_secret"],
            "scope": f"{base}/.default",
        }
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            token = (await client.post(f"/{settings['tenant_id']}/oauth2/v2.0/token", data=form)).json()["access_token"]
            headers = {"authorization": f"Bearer {token}", "prefer": "odata.maxpagesize=2"}
            page = (await client.get("/api/data/v9.2/accounts?$select=name", headers=headers)).json()
            rest = (await client.get(page["@odata.nextLink"], headers=headers)).json()
    assert len(page["value"]) + len(rest["value"]) == 3
