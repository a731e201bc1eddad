"""What the installation answers with: JSON in its several envelopes, and web pages."""

from typing import Any

import msgspec

from ml_connector.twin import TwinResponse

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html; charset=utf-8"}
_encoder = msgspec.json.Encoder(decimal_format="number")


class Refused(Exception):
    """An answer that ends the request."""

    def __init__(self, response: TwinResponse) -> None:
        super().__init__(response.status)
        self.response = response


def json(status: int, body: Any) -> TwinResponse:
    return TwinResponse(status, _encoder.encode(body), _JSON)


def errors(status: int, message: str) -> Refused:
    """The envelope outside of writes."""
    return Refused(json(status, {"errors": [{"message": message}]}))


def failed(message: str, field: str = "", value: Any = "", code: str = "") -> Refused:
    """A write that is refused: status 200."""
    told = {"message": message, "fieldName": field, "fieldValue": value, "code": code}
    return Refused(json(200, {"submitResult": {"success": False, "severity": 1, "errors": [told]}}))


def login_page(status: int = 200) -> TwinResponse:
    return TwinResponse(status, b"<html><head><title>QAD</title></head><body><form action='j_spring_security_check'>", _HTML)
