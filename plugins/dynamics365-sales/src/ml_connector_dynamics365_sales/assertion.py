"""A JWT signed with the key of a certificate, by which Entra ID knows the application where it has no secret.

Source: entra/identity-platform/certificate-credentials (PS256, SHA-256 thumbprint, the token endpoint as audience).
"""

import base64
import hashlib
import re
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from ml_connector.errors import AuthRejected

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFE_S: Final = 300
SKEW_S: Final = 60
"""How far Entra's clock may be behind ours."""
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


def client_assertion(pem: str, client_id: str, audience: str, now: datetime) -> str:
    """``pem`` holds the private key and its certificate, in either order. Raises AuthRejected when it does not."""
    key, thumbprint = _read(pem.encode())
    since = int(now.timestamp()) - SKEW_S
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid4()),
        "nbf": since,
        "exp": since + SKEW_S + LIFE_S,
    }
    signed = f"{_part(header)}.{_part(claims)}"
    salted = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
    return f"{signed}.{_base64url(key.sign(signed.encode(), salted, SHA256()))}"


def _read(pem: bytes) -> tuple[RSAPrivateKey, str]:
    blocks = {match[1]: match[0] for match in _BLOCK.finditer(pem)}
    keys = [block for name, block in blocks.items() if name.endswith(b"PRIVATE KEY")]
    try:
        certificate = load_pem_x509_certificate(blocks[b"CERTIFICATE"])
        key = load_pem_private_key(keys[0], None)
    except (KeyError, IndexError, TypeError, ValueError):  # without their cause: it may quote what it could not read
        raise _unusable("it is not a private key without a passphrase and its certificate, one below the other") from None
    if not isinstance(key, RSAPrivateKey):
        raise _unusable("its key is not an RSA key, which Entra asks for")
    if key.public_key() != certificate.public_key():
        raise _unusable("its key belongs to another certificate")
    return key, _base64url(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())


def _unusable(why: str) -> AuthRejected:
    return AuthRejected(
        f"client_certificate cannot be used: {why}",
        fix="Store both as PEM text: cat key.pem certificate.pem | ml-connector secrets set NAME",
        code="CERTIFICATE",
    )


def _part(value: dict[str, Any]) -> str:
    return _base64url(msgspec.json.encode(value))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
