"""One API call as the twin's handlers see it, the answers they give, and the refusals they raise."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

from ml_connector.twin import TwinRequest, TwinResponse

Fault: TypeAlias = dict[str, Any]
"""A refusal as it stands in an answer: code, status "error", message, details."""

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
JSON = {"Content-Type": "application/json;charset=UTF-8"}


class Refused(Exception):
    """The call as a whole is refused."""

    def __init__(self, status: int, code: str, message: str, /, **details: Any) -> None:
        super().__init__(code)
        self.status, self.fault = status, fault(code, message, **details)


def fault(code: str, message: str, /, **details: Any) -> Fault:
    return {"code": code, "details": details, "message": message, "status": "error"}


def encode(value: Any) -> bytes:
    return _encoder.encode(value)


def decode(body: bytes) -> Any:
    """JSON with Decimals for fractions. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


def answer(status: int, body: Any = None) -> TwinResponse:
    return TwinResponse(status, b"" if body is None else _encoder.encode(body), JSON if body is not None else {})


def batch(results: list[Fault], *, key: str = "data", created: int = 200, mode: str = "modern") -> TwinResponse:
    """Positional results under the status that their mixture deserves.

    ``modern`` tells 200/201, 207 when mixed, 400 (412 when all were overtaken) when none succeeded; ``legacy`` tells 200, and
    202 after a failure.
    """
    failed = [result for result in results if result["status"] == "error"]
    overtaken = failed and all(result["code"] == "ALREADY_MODIFIED" for result in failed)
    if len(failed) == len(results) and overtaken:
        status = 412
    elif mode == "legacy":
        status = 202 if failed else 200
    elif not failed:
        status = created
    else:
        status = 207 if len(failed) < len(results) else 400
    return answer(status, {key: results})


class Call:
    """A routed request: ``args`` are the decoded path parts that the route left open."""

    def __init__(self, request: TwinRequest, version: str, args: tuple[str, ...], user: str) -> None:
        self.request, self.version, self.args, self.user = request, version, args, user

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.request.query, keep_blank_values=True))

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises Refused when it is none."""
        try:
            body = decode(self.request.body)
        except msgspec.DecodeError:
            raise Refused(400, "INVALID_DATA", "body", expected_data_type="jsonobject") from None
        if not isinstance(body, dict):
            raise Refused(400, "INVALID_DATA", "body", expected_data_type="jsonobject")
        return body

    def items(self, key: str, most: int) -> list[Any]:
        """The list under ``key`` of the body, of 1 to ``most`` members."""
        items = self.body.get(key)
        if items is None:
            raise Refused(400, "MANDATORY_NOT_FOUND", "required field not found", api_name=key, json_path=f"$.{key}")
        if not isinstance(items, list) or not items:
            raise Refused(
                400, "INVALID_DATA", "invalid data", api_name=key, json_path=f"$.{key}", expected_data_type="jsonarray"
            )
        if len(items) > most:
            raise Refused(
                400, "LIMIT_EXCEEDED", "maximum length exceeded", api_name=key, json_path=f"$.{key}", maximum_length=most
            )
        return items

    def number(self, name: str, default: int, most: int | None = None) -> int:
        """A positive whole number from the query."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal() or int(text) < 1:
            raise Refused(400, "INVALID_DATA", "invalid data", param_name=name, expected_data_type="integer")
        if most is not None and int(text) > most:
            raise Refused(400, "LIMIT_EXCEEDED", f"{name} exceeds the limit", param_name=name, limit=most)
        return int(text)


def parts_of(path: str) -> list[str]:
    """Path parts. A percent-encoded slash splits like a plain one, as the vendor's router does with external ids."""
    return unquote(path).strip("/").split("/")
