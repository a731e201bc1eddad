"""``$batch`` on the wire (OData 4.01 part 1, section 11.7.7): requests in, one response per request out. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ml_connector.errors import ContractBroken

BOUNDARY: Final = "batch_ml_connector"
_SET: Final = "changeset_ml_connector"
_MARK: Final = re.compile(rb'boundary="?([^";\s]+)"?', re.IGNORECASE)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One operation; ``target`` is a path below the host, percent-encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None


class Response(msgspec.Struct, frozen=True):
    """One operation's answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def content_type() -> str:
    return f'multipart/mixed; boundary="{BOUNDARY}"'


def batch(items: Sequence[Request | Sequence[Request]]) -> bytes:
    """Operations that stand or fall one by one, and lists of them, change sets, that stand or fall together."""
    return b"".join(_item(item, number) for number, item in enumerate(items, 1)) + f"--{BOUNDARY}--\r\n".encode()


def _item(item: Request | Sequence[Request], number: int) -> bytes:
    if isinstance(item, Request):
        return f"--{BOUNDARY}\r\n{_head()}\r\n".encode() + _told(item)
    mark = f"{_SET}_{number}"
    inner = b"".join(
        f"--{mark}\r\n{_head()}Content-ID: {number}.{place}\r\n\r\n".encode() + _told(request)
        for place, request in enumerate(item, 1)
    )
    opened = f"--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary={mark}\r\n\r\n".encode()
    return opened + inner + f"--{mark}--\r\n".encode()


def _head() -> str:
    return "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"


def _told(request: Request) -> bytes:
    headers = dict(request.headers)
    if request.body is not None:
        headers["Content-Type"] = "application/json; charset=utf-8"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n".encode() + (request.body or b"") + b"\r\n"


def responses(content_type: str, body: bytes) -> list[Response | list[Response]]:
    """What came of each item, in order: one response, or those of a change set.

    A change set that fell has one response, which comes by itself or as the only one of its list. Raises ContractBroken when
    the body is no batch answer, or one that breaks off.
    """
    match = _MARK.search(content_type.encode())
    if match is None or not content_type.lower().startswith("multipart/mixed"):
        raise ContractBroken("The answer to a batch is none", fix="A proxy may stand between")
    found: list[Response | list[Response]] = []
    pieces = (b"\r\n" + body).split(b"\r\n--" + match[1])[1:]  # a mark counts at a line's beginning, not within a text
    for piece in pieces:
        if piece.startswith(b"--"):
            return found
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        inner = _headers(head).get("content-type", "")
        if inner.lower().startswith("multipart/mixed"):
            found.append([one for one in responses(inner, content) if isinstance(one, Response)])
        else:
            found.append(_response(content))
    raise ContractBroken("The answer to a batch breaks off")


def _response(content: bytes) -> Response:
    head, _, body = content.partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    match = _STATUS.match(line)
    if match is None:
        raise ContractBroken("A part of the answer to a batch has no status")
    return Response(int(match[1]), _headers(rest), body.removesuffix(b"\r\n"))


def _headers(text: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.decode("latin-1").split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
