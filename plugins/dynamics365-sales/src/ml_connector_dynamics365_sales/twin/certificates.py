"""The certificate of the twin's application: made for a test or a demo, and held against the assertions that come."""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import Certificate, CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from ml_connector_dynamics365_sales.assertion import TYPE


def made(now: datetime) -> tuple[Certificate, str]:
    """A certificate that signed itself, and the PEM text of its key and itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = Name([NameAttribute(NameOID.COMMON_NAME, "ml-connector twin")])
    draft = CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    draft = draft.serial_number(random_serial_number()).not_valid_before(now - timedelta(days=1))
    certificate = draft.not_valid_after(now + timedelta(days=3650)).sign(key, SHA256())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    return certificate, text.decode()


def wrong(form: dict[str, str], certificate: Certificate | None, audiences: tuple[str, ...], now: datetime) -> tuple[int, str]:
    """Entra's number and words for what is wrong with the assertion; (0, "") where nothing is."""
    if form.get("client_assertion_type") != TYPE:
        return 700016, "The client assertion type is not known."
    try:
        head, body, signature = form["client_assertion"].split(".")
        header, claims = (msgspec.json.decode(_raw(part)) for part in (head, body))
        proof = _raw(signature)
    except ValueError:
        return 50027, "JWT token is invalid or malformed."
    if certificate is None or header.get("x5t#S256") != _thumbprint(certificate) or header.get("alg") != "PS256":
        return 700027, "The certificate with identifier used to sign the client assertion is not registered on application."
    key: Any = certificate.public_key()
    try:
        key.verify(proof, f"{head}.{body}".encode(), padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    except InvalidSignature:
        return 700027, "Client assertion failed signature validation."
    if claims.get("iss") != form["client_id"] or claims.get("sub") != form["client_id"]:
        return 700021, "Client assertion application identifier doesn't match 'client_id' parameter."
    if claims.get("aud") not in audiences:
        return 700023, "Client assertion audience claim does not match Realm issuer."
    if not claims.get("nbf", 0) <= now.timestamp() < claims.get("exp", 0) or not claims.get("jti"):
        return 700024, "Client assertion is not within its valid time range."
    return 0, ""


def _thumbprint(certificate: Certificate) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()).rstrip(b"=").decode()


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
