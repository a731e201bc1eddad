"""What the user configures for one QAD installation: its declared profile. The README explains each key."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import force_setattr

from ml_connector.domain import ENTITIES, Address, Kind
from ml_connector_qad.kinds import FIELDS, Document, Entities, Entity, Names
from ml_connector_qad.profile import Auth, Browse, Codes, Keyed, Limits, Scope, WriteRules

READS: Final[tuple[Kind, ...]] = ("vendor", "product", "account", "order", "purchase_order", "invoice")
WRITES: Final[tuple[Kind, ...]] = ("account", "order")
BANK: Final = ("bankNumberRefV2s", "bank")
"""Bank data is never read: neither by name nor as a child of a record."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PARTS: Final = frozenset(Address.__struct_fields__)


class QadSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One domain of one QAD installation, seen through one user."""

    base_url: str  # everything before /api and /oauth, the context root included
    scope: Scope
    auth: Auth
    currency: str = ""  # of prices that name none: the domain's base currency
    accept_language: str = "en"
    server_timezone: str = "UTC"  # of times of day that records tell [A]
    extra_headers: dict[str, str] = {}
    browse: Browse = Browse()
    keyed: Keyed = Keyed()
    write: WriteRules = WriteRules()
    limits: Limits = Limits()
    codes: Codes = Codes()
    entities: Entities = Entities()

    def __post_init__(self) -> None:
        force_setattr(self, "base_url", self.base_url.rstrip("/"))
        parts = urlsplit(self.base_url)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(f'base_url: "{self.base_url}" is not a plain address like https://acme.qad.com/clouderp')
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(f'base_url: "{self.base_url}" must begin with https:// (passwords and tokens travel there)')
        _ = self.time_zone
        for kind in READS:
            self._check(kind, self.place(kind))

    def _check(self, kind: Kind, place: Entity) -> None:
        known = {name for name in ENTITIES[kind].__struct_fields__ if name not in ("lines", "extra")}
        for path, names in place.fields.items():
            head, _, part = path.partition(".")
            if head not in known or (part and part not in _PARTS):
                raise ValueError(f"entities.{kind}.fields: {kind} has no field {path}")
            for name in (names,) if isinstance(names, str) else names:
                if name.startswith(BANK):
                    raise ValueError(f"entities.{kind}.fields: {name} is bank data, which is never read")
        if isinstance(place, Document) and place.change_strategy == "modified":
            raise ValueError(f'entities.{kind}.change_strategy: the lines of documents move without a stamp; use "hash_sweep"')
        if isinstance(place, Document) and place.window_field and place.window_field not in self.wires(kind):
            raise ValueError(f"entities.{kind}.window_field: {place.window_field} is not among its fields")

    @property
    def time_zone(self) -> tzinfo:
        """Where the server is. UTC needs no time zone database."""
        if self.server_timezone == "UTC":
            return UTC
        try:
            return ZoneInfo(self.server_timezone)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError(
                f'server_timezone: "{self.server_timezone}" is not known; write it as "America/New_York"'
            ) from error

    def place(self, kind: Kind) -> Entity:
        place: Entity = getattr(self.entities, kind)
        return place

    def fields(self, kind: Kind) -> Mapping[str, tuple[str, ...]]:
        """Canonical path → fields of the component, the user's over the usual ones."""
        chosen: dict[str, Names] = {**FIELDS[kind], **self.place(kind).fields}
        return {path: (names,) if isinstance(names, str) else names for path, names in chosen.items() if names}

    def wires(self, kind: Kind) -> tuple[str, ...]:
        """Every field of the component that is told, custom ones among them."""
        mapped = [name for names in self.fields(kind).values() for name in names]
        return tuple(dict.fromkeys((*mapped, *self.place(kind).custom_fields.values())))
