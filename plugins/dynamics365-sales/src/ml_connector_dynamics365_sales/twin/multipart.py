"""``$batch``: multipart bodies taken apart as strictly as the server does it, and put together again."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ml_connector.twin import TwinResponse
from ml_connector_dynamics365_sales.twin.wire import MALFORMED, Refused

MOST: Final = 1000
LONGEST: Final = 65_536
"""Characters of a URL within a batch."""
_REQUEST: Final = re.compile(r"(GET|POST|PATCH|PUT|DELETE) (\S+) HTTP/1\.1")
_BOUNDARY: Final = re.compile(r'multipart/mixed;\s*boundary="?([^";]+)"?', re.IGNORECASE)


class Part(msgspec.Struct):
    """One operation."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    content_id: str = ""


def parts(content_type: str, body: bytes) -> list[Part | list[Part]]:
    """Operations and change sets in order. Raises Refused."""
    found: list[Part | list[Part]] = []
    for headers, content in _split(content_type, body):
        kind = headers.get("content-type", "")
        if _BOUNDARY.match(kind):
            inner = [_part(inside, inner_content) for inside, inner_content in _split(kind, content)]
            if any(part.method == "GET" for part in inner):
                raise Refused(400, MALFORMED, "A change set takes no GET.")
            if any(not part.content_id for part in inner):
                raise Refused(400, MALFORMED, "Every operation of a change set needs a Content-ID.")
            if not inner:
                raise Refused(400, MALFORMED, "A change set holds at least one operation.")
            found.append(inner)
        else:
            found.append(_part(headers, content))
    single = [one for part in found for one in (part if isinstance(part, list) else [part])]
    named = [one.content_id for one in single if one.content_id]
    if len(named) != len(set(named)):
        raise Refused(400, MALFORMED, "A Content-ID may stand once in a batch.")
    if any(one.target.partition("?")[0].endswith("/$batch") for one in single):
        raise Refused(400, MALFORMED, "A batch cannot hold another batch.")
    if any(len(one.target) > LONGEST for one in single):
        raise Refused(400, MALFORMED, f"A URL within a batch has at most {LONGEST} characters.")
    if len(single) > MOST:
        raise Refused(400, MALFORMED, f"The batch holds more than {MOST} requests.")
    return found


def _split(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise Refused(400, MALFORMED, "The content type of a batch is multipart/mixed with a boundary.")
    mark = b"--" + match[1].encode()
    if b"\n" in body.replace(b"\r\n", b""):
        head = body.replace(b"\r\n", b"").split(b"\n", 1)[0][:20]
        raise Refused(400, MALFORMED, f"Line ends must be CRLF (near {head!r}).")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)  # at the beginning of a line only
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise Refused(400, MALFORMED, "The batch's boundaries do not fit.")
    found = []
    for piece in pieces[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        found.append((_headers(head), content))
    return found


def _part(headers: Mapping[str, str], content: bytes) -> Part:
    if headers.get("content-type") != "application/http" or headers.get("content-transfer-encoding") != "binary":
        raise Refused(400, MALFORMED, "A part is application/http with transfer encoding binary.")
    head, _, body = content.partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    match = _REQUEST.fullmatch(line.decode("latin-1"))
    if match is None:
        raise Refused(400, MALFORMED, f"The request line {line[:60]!r} is malformed.")
    return Part(match[1], match[2], _headers(rest), body.removesuffix(b"\r\n"), headers.get("content-id", ""))


def _headers(text: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.decode("latin-1").split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def joined(answers: Sequence[TwinResponse | list[tuple[str, TwinResponse]]], status: int) -> TwinResponse:
    """The multipart answer."""
    chunks = []
    for number, told in enumerate(answers):
        if isinstance(told, list):
            inner = f"changesetresponse_{number}"
            body = "".join(f"--{inner}\r\n{_told(one, content)}\r\n" for content, one in told) + f"--{inner}--"
            chunks.append(f"--batchresponse_1\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n{body}\r\n")
        else:
            chunks.append(f"--batchresponse_1\r\n{_told(told, '')}\r\n")
    text = "".join(chunks) + "--batchresponse_1--\r\n"
    return TwinResponse(
        status, text.encode(), {"Content-Type": "multipart/mixed; boundary=batchresponse_1", "OData-Version": "4.0"}
    )


def _told(told: TwinResponse, content_id: str) -> str:
    named = f"Content-ID: {content_id}\r\n" if content_id else ""
    headers = "".join(f"{name}: {value}\r\n" for name, value in told.headers.items())
    return (
        f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{named}\r\n"
        f"HTTP/1.1 {told.status} {'OK' if told.status < 300 else 'Error'}\r\n{headers}\r\n{told.body.decode()}"
    )
