"""What the twin says: refusals in the shape that the framework version gives them, and JSON with exact numbers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from ml_connector.twin import TwinResponse

Row: TypeAlias = dict[str, Any]
ERROR_TYPE: Final = "application/vnd.oracle.adf.error+json"
SIGN_IN: Final = b"<HTML><HEAD><TITLE>Sign In</TITLE></HEAD><BODY>401 Unauthorized</BODY></HTML>"
TITLES: Final = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 412: "Precondition Failed"}

decode: Final = msgspec.json.Decoder(Any, float_hook=Decimal).decode
encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Detail(msgspec.Struct, frozen=True):
    words: str
    code: str = ""
    path: str = ""


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, *details: Detail, headers: Mapping[str, str] = {}) -> None:
        super().__init__(status)
        self.status, self.details, self.headers = status, details or (Detail(TITLES.get(status, "Error")),), headers

    def below(self, path: str) -> "Refused":
        """The same, as a part of a batch is blamed."""
        details = [Detail(each.words, each.code, f"{path}{each.path}") for each in self.details]
        return Refused(self.status, *details, headers=self.headers)

    def response(self, version: int, accept: str) -> TwinResponse:
        """Structured from framework 4 on, where the caller takes the media type; else one text."""
        if version < 4 or ERROR_TYPE not in accept:
            text = "; ".join(f"{each.code}: {each.words}" if each.code else each.words for each in self.details)
            return TwinResponse(self.status, text.encode(), {"content-type": "text/plain", **self.headers})
        told: Row = {"title": TITLES.get(self.status, "Error"), "status": str(self.status), "o:errorDetails": []}
        for each in self.details:
            row = {"detail": each.words, "o:errorCode": each.code, "o:errorPath": each.path}
            told["o:errorDetails"].append({name: value for name, value in row.items() if value})
        return TwinResponse(self.status, encode(told), {"content-type": ERROR_TYPE, **self.headers})


def bad(words: str, code: str = "", path: str = "") -> Refused:
    return Refused(400, Detail(words, code, path))


def missing() -> Refused:
    return Refused(404, Detail("The resource was not found."))
