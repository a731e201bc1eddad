"""Credentials: tokens of the identity domain by secret or by signature, a password, and what each refusal tells a person
to do."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from oracle_world import BASE, World

from ml_connector.errors import AuthRejected
from ml_connector.ports.secrets import Secret
from ml_connector_oracle_fusion.auth import signed
from ml_connector_oracle_fusion.twin import OracleTwin


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def signing(world: World, key: rsa.RSAPrivateKey, text: str | None = None) -> World:
    world.twin.identity.public_key = key.public_key()
    world.host.secrets.values["pem"] = pem(key) if text is None else text  # type: ignore[attr-defined]
    return world


SIGNED: dict[str, Any] = {
    "auth": "jwt_assertion",
    "user": "INTEGRATION.USER",
    "private_key": "secret:pem",
    "key_id": "fusion-twin",
    "certificate_thumbprint": "c2hhMQ",
    "identity_tenant": "idcs-1",
}


@pytest.mark.parametrize("client_auth", ["basic", "assertion"])
async def test_a_signed_assertion_of_the_user_gets_a_token(
    oracle: Callable[..., World], key: rsa.RSAPrivateKey, client_auth: str
) -> None:
    told = {**SIGNED, "client_auth": client_auth}
    world = signing(oracle(**told), key)
    assert await world.connection.sources["account"].fetch(["1"]) == []
    assert world.twin.identity.minted == 1


async def test_a_client_may_prove_itself_by_signature_alone(oracle: Callable[..., World], key: rsa.RSAPrivateKey) -> None:
    world = oracle(client_auth="assertion", private_key="secret:pem", key_id="fusion-twin")
    assert await signing(world, key).connection.sources["account"].fetch(["1"]) == []


async def test_another_key_is_refused_with_what_to_check(oracle: Callable[..., World], key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    world = signing(oracle(**SIGNED), key, pem(other))
    with pytest.raises(AuthRejected) as raised:
        await world.connection.sources["account"].fetch(["1"])
    assert raised.value.code == "invalid_grant"
    assert "clock" in raised.value.fix


async def test_what_is_no_key_is_told_without_quoting_it(oracle: Callable[..., World], key: rsa.RSAPrivateKey) -> None:
    world = signing(oracle(**SIGNED), key, "-----BEGIN NONSENSE-----")
    with pytest.raises(AuthRejected, match="RSA key") as raised:
        await world.connection.sources["account"].fetch(["1"])
    assert "NONSENSE" not in str(raised.value)


async def test_a_password_needs_no_token(oracle: Callable[..., World]) -> None:
    world = oracle(auth="basic", user="INTEGRATION.USER", password="secret:password")
    assert await world.connection.sources["account"].fetch(["1"]) == []
    assert world.called("POST", "/token") == []


async def test_a_wrong_password_pauses_the_connection(oracle: Callable[..., World]) -> None:
    world = oracle(auth="basic", user="INTEGRATION.USER", password="secret:password")
    world.twin.identity.password = "another"
    with pytest.raises(AuthRejected) as raised:
        await world.connection.sources["account"].fetch(["1"])
    assert raised.value.fix
    assert len(world.twin.calls) == 1


async def test_a_scope_that_the_client_does_not_have_is_told(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.identity.scope = "urn:opc:resource:fa:acme:other"
    with pytest.raises(AuthRejected) as raised:
        await world.connection.sources["account"].fetch(["1"])
    assert (raised.value.code, "allowed resources" in raised.value.fix) == ("invalid_scope", True)


async def test_a_redirect_to_the_sign_in_page_is_a_refused_token(oracle: Callable[..., World]) -> None:
    world = oracle()
    await world.connection.sources["account"].fetch(["1"])
    world.twin.identity.forget()
    world.twin.signs_in = True
    assert await world.connection.sources["account"].fetch(["1"]) == []
    assert world.twin.identity.minted == 2


def test_a_token_is_three_parts_and_its_key_is_no_part_of_it(key: rsa.RSAPrivateKey) -> None:
    token = signed({"alg": "RS256"}, {"iss": "ml"}, pem(key))
    assert token.count(".") == 2
    assert "=" not in token


def test_secrets_are_named_and_never_shown(oracle: Callable[..., World]) -> None:
    world = oracle()
    assert isinstance(world.settings.client_secret, Secret)
    assert OracleTwin().secrets()["twin/oracle_client_secret"] not in repr(world.settings)
    assert BASE in repr(world.settings)
