"""Credentials for the pod: tokens of its identity domain by client credentials or a signed assertion, or HTTP Basic.

Oracle, Financials REST: "Configure OAuth"; OCI IAM: "Using a user assertion" (RS256, iss and sub, kid, x5t).
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from ml_connector.errors import AuthRejected
from ml_connector.ports.secrets import Token
from ml_connector.system import Host
from ml_connector_adapters.http import HostRule, OAuth, read_token
from ml_connector_oracle_fusion.settings import Settings

LEEWAY_S: Final = 180.0
"""5 % of the hour that a token lives."""
ASSERTION_S: Final = 300
JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_CLIENT: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ADVICE: Final[dict[str, str]] = {
    "invalid_client": "Check client_id and client_secret; the client must be active in the pod's own identity domain",
    "invalid_scope": "Copy scope from the client's allowed resources, byte for byte",
    "invalid_grant": "Check user, key_id and the clock of this machine, and that the certificate is registered on the client",
    "unauthorized_client": "Allow the grant on the client in the identity domain",
}


def api_hosts(settings: Settings) -> HostRule:
    """The pod alone."""
    return HostRule(urlsplit(settings.base_url).netloc)


def oauth(settings: Settings, host: Host) -> OAuth | None:
    """The connection's token manager; None where the pod is asked with user and password."""
    if settings.auth == "basic":
        return None
    credentials = _Credentials(settings, host)
    return OAuth(
        host=host,
        token_url=settings.token_url,
        form=credentials.form,
        read=read_domain_token,
        basic=credentials.basic if settings.client_auth == "basic" else None,
        leeway_s=LEEWAY_S,
        hosts=HostRule(urlsplit(settings.token_url).netloc),
    )


async def basic_header(settings: Settings, host: Host) -> dict[str, str]:
    """``Authorization`` for HTTP Basic. Raises AuthRejected when there is no such secret."""
    assert settings.password is not None
    pair = f"{settings.user}:{await host.secrets.reveal(settings.password)}"
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def read_domain_token(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
    """The token, or AuthRejected with advice for each of the identity domain's refusals."""
    try:
        return read_token(status, headers, body, now)
    except AuthRejected as error:
        raise AuthRejected(error.what, fix=_ADVICE.get(error.code, error.fix), code=error.code) from None


class _Credentials:
    """What goes to the token endpoint; secrets are asked for at every use."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._host = settings, host

    async def basic(self) -> tuple[str, str]:
        assert self._settings.client_secret is not None
        return self._settings.client_id, await self._host.secrets.reveal(self._settings.client_secret)

    async def form(self) -> dict[str, str]:
        settings = self._settings
        if settings.auth == "client_credentials":
            fields = {"grant_type": "client_credentials", "scope": settings.scope}
        else:
            user = {"sub": settings.user, "prn": settings.user}
            tenant = {"user.tenant.name": settings.identity_tenant} if settings.identity_tenant else {}
            fields = {"grant_type": JWT_GRANT, "scope": settings.scope, "assertion": await self._signed({**user, **tenant})}
        if settings.client_auth == "assertion":
            fields["client_id"] = settings.client_id
            fields["client_assertion_type"] = JWT_CLIENT
            fields["client_assertion"] = await self._signed({"sub": settings.client_id})
        return fields

    async def _signed(self, claims: Mapping[str, str]) -> str:
        settings = self._settings
        assert settings.private_key is not None
        now = int(self._host.clock.now().timestamp())
        header = {"alg": "RS256", "typ": "JWT", "kid": settings.key_id}
        if settings.certificate_thumbprint:
            header["x5t"] = settings.certificate_thumbprint
        body = {
            "iss": settings.client_id,
            **claims,
            "aud": [settings.audience],
            "iat": now,
            "exp": now + ASSERTION_S,
            "jti": str(uuid4()),
        }
        return signed(header, body, await self._host.secrets.reveal(settings.private_key))


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], pem: str) -> str:
    """A JSON Web Token (RFC 7515, RS256). Raises AuthRejected when the key is no RSA key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):  # its text may quote the key
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise AuthRejected(
            "private_key is no RSA key in PEM without a passphrase", fix="Keep the whole PEM text in the secret that it names"
        )
    text = ".".join(_b64(msgspec.json.encode(part)) for part in (header, claims))
    return f"{text}.{_b64(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
