"""JSON and errors as Dataverse writes them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.twin import TwinResponse

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)

MALFORMED: Final = "0x80048d19"
INVALID: Final = "0x80040203"
UNKNOWN_OPTION: Final = "0x80060888"
TOO_LONG: Final = "0x80044331"
NO_OPTION: Final = "0x8004431a"
NOT_FOUND: Final = "0x80040217"
NO_KEY_MATCH: Final = "0x80060891"
NO_SEGMENT: Final = "0x8006088a"
NOT_ALLOWED: Final = "0x80040227"
STALE: Final = "0x80060882"
DUPLICATE_KEY: Final = "0x80060892"
DUPLICATE: Final = "0x80040237"
DUPLICATE_FOUND: Final = "0x80040333"
EXPIRED: Final = "0x80044352"
NO_RIGHT: Final = "0x80040220"
NO_MEMBER: Final = "0x80072560"


class Refused(Exception):
    """A refusal with status, code and words."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def answer(self) -> TwinResponse:
        return answer(self.status, {"error": {"code": self.code, "message": self.message}}, self.headers)


def answer(status: int, payload: Any, headers: Mapping[str, str] = {}) -> TwinResponse:
    told = {"Content-Type": "application/json; odata.metadata=minimal", "OData-Version": "4.0", **headers}
    return TwinResponse(status, _encoder.encode(payload), told)


def nothing(headers: Mapping[str, str] = {}) -> TwinResponse:
    return TwinResponse(204, b"", {"OData-Version": "4.0", **headers})


def payload(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises Refused."""
    try:
        told = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(400, MALFORMED, "Error identified in Payload provided by the user: it is no JSON") from None
    if not isinstance(told, dict):
        raise Refused(400, MALFORMED, "Error identified in Payload provided by the user: an object was expected")
    return told
