"""What QAD's tests share: settings, and a twin that keeps what it was asked."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from ml_connector.twin import TwinRequest, TwinResponse
from ml_connector_qad.settings import QadSettings
from ml_connector_qad.twin import QadTwin

BASE = "https://acme.qad.example"
GL = {
    "currencyCode": "EUR",
    "creditTermsCode": "N30",
    "invoiceStatusCode": "APPROVED",
    "invoiceControlGLProfileCode": "INV",
    "creditNoteControlGLProfileCode": "CRN",
    "prePaymentControlGLProfileCode": "PRE",
    "salesAccountGLProfileCode": "SAL",
}
ACCOUNT = {"create_defaults": GL, "follow_up": {"values": {"siteCode": "10-100", "daybookSetCode": "SO"}}}
ORDER = {
    "fields": {"customer_reference": "customShort0", "external_reference": "customShort1"},
    "create_defaults": {"siteCode": "10-100", "daybookSetCode": "SO"},
}


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    told = dict(one)
    for name, value in other.items():
        told[name] = merged(told[name], value) if isinstance(value, dict) and isinstance(told.get(name), dict) else value
    return told


def settings_of(told: dict[str, Any]) -> QadSettings:
    return msgspec.convert(told, QadSettings, dec_hook=lambda kind, value: kind(value))


class WatchedTwin(QadTwin):
    """A twin that keeps the requests it was sent, and lets something happen just before one of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.requests: list[TwinRequest] = []
        self._waiting: list[tuple[str, str, Callable[[], None]]] = []

    def before(self, method: str, path: str, happens: Callable[[], None]) -> None:
        """Once, before the next request with this method and this in its path."""
        self._waiting.append((method, path, happens))

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        self.requests.append(request)
        for waiting in list(self._waiting):
            if waiting[0] == request.method and waiting[1] in unquote(request.path):
                self._waiting.remove(waiting)
                waiting[2]()
        return await super().__call__(request)

    def asked(self, method: str, path: str) -> list[dict[str, str]]:
        """The queries of such requests."""
        told = [one for one in self.requests if one.method == method and path in unquote(one.path)]
        return [dict(parse_qsl(one.query, keep_blank_values=True)) for one in told]
