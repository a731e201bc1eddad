"""JSON as the twin reads and writes it, the refusals it knows, and one call taken apart."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from ml_connector.twin import TwinRequest, TwinResponse

Row: TypeAlias = dict[str, Any]

_decoder: Final = msgspec.json.Decoder(Any, float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
JSON: Final = {"Content-Type": "application/json"}
HTML: Final = {"Content-Type": "text/html"}


def decode(body: bytes) -> Any:
    """JSON with Decimals for fractions. Raises Refused (400)."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(400, {"success": False, "error": "Invalid JSON", "code": "ERR_BAD_REQUEST"}) from None


def encode(value: Any) -> bytes:
    return _encoder.encode(value)


def stamp(when: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if when is None else when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def success(data: Any, *, status: int = 200, **additional: Any) -> TwinResponse:
    told: Row = {"success": True, "data": data}
    if additional:
        told["additional_data"] = additional
    return TwinResponse(status, encode(told), JSON)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] = {}) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers

    @property
    def response(self) -> TwinResponse:
        if isinstance(self.body, bytes):
            return TwinResponse(self.status, self.body, {**HTML, **self.headers})
        return TwinResponse(self.status, encode(self.body), {**JSON, **self.headers})


def refused(status: int, error: str, **more: Any) -> Refused:
    """The envelope of v2's errors."""
    return Refused(status, {"success": False, "error": error, "error_info": "", "data": None, "additional_data": None, **more})


def invalid(place: str, complaint: str) -> Refused:
    """A validation error; since May 2026 it names the field's code."""
    return refused(400, f"Validation failed: {place}: {complaint}", code="ERR_SCHEMA_VALIDATION_FAILED")


def unknown_parameter(place: str) -> Refused:
    return invalid(place, f"Parameter '{place}' is not allowed for this request")


class Call(msgspec.Struct, frozen=True):
    """One API call: what the route's pattern captured, the query, and who asks."""

    request: TwinRequest
    args: tuple[str, ...]
    user: int

    @property
    def id(self) -> int:
        """The first captured part as a record's id. Raises Refused (400)."""
        if not self.args[0].isdigit():
            raise invalid("id", "must be a number")
        return int(self.args[0])

    def query(self, *allowed: str) -> dict[str, str]:
        """The query. Raises Refused (400) for a parameter that the call does not have."""
        told = dict(parse_qsl(self.request.query, keep_blank_values=True))
        for name in told:
            if name not in allowed:
                raise unknown_parameter(name)
        return told

    def body(self) -> Row:
        """The body as an object. Raises Refused (400)."""
        body = decode(self.request.body)
        if not isinstance(body, dict):
            raise invalid("body", "must be an object")
        return body
