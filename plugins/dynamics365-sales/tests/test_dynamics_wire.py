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
from ml_connector_dynamics365_sales.assertion import TYPE, client_assertion
from ml_connector_dynamics365_sales.multipart import Request
from ml_connector_dynamics365_sales.plugin import SPEC
from ml_connector_dynamics365_sales.twin import multipart as theirs
from ml_connector_dynamics365_sales.twin.certificates import made, wrong
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
    for items in (requests, [requests], [*requests, requests]):
        told = theirs.parts(ours.content_type(), ours.batch(items))
        assert [isinstance(part, list) for part in told] == [isinstance(item, list) for item in items]
        parts = [part for one in told for part in (one if isinstance(one, list) else [one])][-len(requests) :]
        assert [(part.method, part.target) for part in parts] == [(one.method, one.target) for one in requests]
        assert [part.headers.get("if-match", "") for part in parts] == [one.headers.get("If-Match", "") for one in requests]
        assert [part.body for part in parts] == [one.body or b"" for one in requests]


def test_the_answer_to_a_batch_that_is_none_is_no_answer() -> None:
    """A proxy's page must not be taken for an empty batch."""
    with pytest.raises(ContractBroken):
        ours.responses("text/html", b"<html></html>")
    with pytest.raises(ContractBroken):
        ours.responses("multipart/mixed; boundary=x", b"--x\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--x--")


def test_the_answer_to_a_batch_that_breaks_off_is_none() -> None:
    """Between two parts as well as within one: what was done of the rest is not known."""
    part = b"--x\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n"
    assert len(ours.responses("multipart/mixed; boundary=x", part + b"--x--")) == 1
    with pytest.raises(ContractBroken, match="breaks off"):
        ours.responses("multipart/mixed; boundary=x", part)


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


@pytest.mark.parametrize(
    ("spoil", "number"),
    [
        (lambda world: setattr(world.twin.identity, "certificate", None), "AADSTS700027"),
        (lambda world: setattr(world.twin.identity, "certificate", made(world.clock.now())[0]), "AADSTS700027"),
        (lambda world: world.twin.clock.advance(3600), "AADSTS700024"),
        (lambda world: world.twin.clock.advance(-3600), "AADSTS700024"),
    ],
    ids=["not uploaded", "another uploaded", "our clock behind", "our clock ahead"],
)
async def test_a_certificate_that_entra_does_not_take_is_told_with_entras_number(
    dynamics: Callable[..., Any], spoil: Callable[[Any], None], number: str
) -> None:
    world = dynamics(twin={"certified": True})
    spoil(world)
    with pytest.raises(AuthRejected) as caught:
        await world.connection.sources["account"].fetch(["5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f"])
    assert caught.value.code == number
    assert "client_certificate" in caught.value.fix


async def test_an_assertion_is_good_for_this_endpoint_and_this_application_alone(dynamics: Callable[..., Any]) -> None:
    """Whoever gets hold of one cannot use it elsewhere."""
    world = dynamics(twin={"certified": True})
    [pem], entra, url = world.twin.secrets().values(), world.twin.identity, "https://login.example/t/oauth2/v2.0/token"
    known = {"client_assertion_type": TYPE, "client_id": "app"}
    told = []
    for client, audience in (("app", url), ("other", url), ("app", "https://login.example/other/oauth2/v2.0/token")):
        signed = client_assertion(pem, client, audience, world.clock.now())
        told.append(wrong({**known, "client_assertion": signed}, entra.certificate, (url,), world.clock.now())[0])
    head, body, signature = client_assertion(pem, "app", url, world.clock.now()).split(".")
    another = client_assertion(pem, "app", url, world.clock.now()).split(".")[1]
    for forged in (f"{head}.{another}.{signature}", f"{head}.{body}.{signature[::-1]}", "no.jwt", "a.b.c"):
        told.append(wrong({**known, "client_assertion": forged}, entra.certificate, (url,), world.clock.now())[0])
    assert told == [0, 700021, 700023, 700027, 700027, 50027, 50027]


@pytest.mark.parametrize("part", ["key", "certificate", "nothing", "another's key"])
async def test_a_certificate_that_cannot_be_used_is_told_before_entra_is_asked(dynamics: Callable[..., Any], part: str) -> None:
    world = dynamics(twin={"certified": True})
    [(name, pem)] = world.twin.secrets().items()
    end = pem.index("-----BEGIN CERTIFICATE")
    other = made(world.clock.now())[1]
    another = other[: other.index("-----BEGIN CERTIFICATE")]
    told = {"key": pem[:end], "certificate": pem[end:], "nothing": "x", "another's key": another + pem[end:]}
    world.host.secrets.values[name] = told[part]
    with pytest.raises(AuthRejected) as caught:
        await world.connection.sources["account"].fetch(["5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f"])
    assert caught.value.code == "CERTIFICATE"
    assert "PRIVATE" not in str(caught.value)
    assert world.twin.calls == []


@pytest.mark.parametrize(
    "told", [{"client_secret": None}, {"client_secret": "env:S", "client_certificate": "env:C"}], ids=["neither", "both"]
)
def test_an_application_has_a_secret_or_a_certificate(make_settings: Callable[..., Any], told: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="client_secret"):
        make_settings(**told)


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
