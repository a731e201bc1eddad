"""Refusals, in the envelope of IFS: ``{"error": {"code", "message", "details": [{"code", "message"}]}}``."""

from collections.abc import Mapping

import msgspec

from ml_connector.twin import Fault, TwinResponse

JSON = "application/json;odata.metadata=minimal"


class Refused(Exception):
    """The service says no."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message} {details}")
        self.response = TwinResponse(status, envelope(code, message, details), {"content-type": JSON, **(headers or {})})


def envelope(code: str, message: str, details: tuple[tuple[str, str], ...] = ()) -> bytes:
    error: dict[str, object] = {"code": code, "message": message}
    if details:
        error["details"] = [{"code": detail, "message": text} for detail, text in details]
    return msgspec.json.encode({"error": error})


def malformed(text: str, code: str = "ODP_URI_SYNTAX") -> Refused:
    """The URL cannot be understood."""
    return Refused(400, "ODP_REQUEST_URI", "Malformed Request.", ((code, text),))


def unknown_property(name: str, entity: str) -> Refused:
    return malformed(
        f"The property '{name}', used in a query expression, is not defined in type '{entity}'.", "ODP_UNKNOWN_PROPERTY"
    )


def incompatible(left: str, right: str) -> Refused:
    return malformed(f"The types '{left}' and '{right}' are not compatible.", "ODP_TYPES_NOT_COMPATIBLE")


def undeserialisable(text: str) -> Refused:
    """The body cannot be understood."""
    return Refused(400, "ODP_DESERIALIZATION_ERROR", text)


def not_found(text: str = "The requested entity does not exist.") -> Refused:
    return Refused(404, "ODP_RESOURCE_NOTFOUND", text)


def not_implemented() -> Refused:
    return Refused(501, "ODP_NOT_IMPLEMENTED", "Not implemented.")


def not_allowed(*allowed: str) -> Refused:
    return Refused(405, "ODP_METHOD_NOT_ALLOWED", "Method not allowed.", headers={"allow": ", ".join(allowed)})


def business(text: str, code: str = "20110") -> Refused:
    """The database's business logic says no: status 500 although nothing is broken, which is the trap in it."""
    return Refused(500, "DATABASE_ERROR", "Database error occurred. Contact administrator.", ((code, text),))


def metadata_modified(*, status: int = 503, times: int = 1, skip: int = 0, method: str | None = None, path: str = "") -> Fault:
    """The metadata cache is being refreshed; nothing was done, so the same request may be sent again."""
    body = envelope("MI_MODIFIED_ERROR", "The metadata has been modified. Please retry.")
    return Fault("status", status=status, body=body, times=times, skip=skip, method=method, path=path)


def locked(*, times: int = 1, skip: int = 0, method: str | None = None, path: str = "") -> Fault:
    """Somebody has the row open."""
    body = envelope("FND_LOCKED", "The object is locked by another user.")
    return Fault("status", status=423, body=body, times=times, skip=skip, method=method, path=path)
