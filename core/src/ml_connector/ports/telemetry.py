"""Spans and counters, as much of them as the engine uses."""

from contextlib import AbstractContextManager
from typing import Protocol

Attribute = str | int | float | bool


class Span(Protocol):
    @property
    def trace_id(self) -> str:
        """32 hex digits, also when nothing is exported: the audit ties to it."""
        ...

    def event(self, name: str, **attributes: Attribute) -> None:
        """Something worth seeing in the trace: a failed record, say. Never personal data, never a secret."""
        ...


class Telemetry(Protocol):
    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        """A span that is current for the tasks started inside it; an exception that leaves it marks it as failed."""
        ...

    def count(self, name: str, amount: int, **attributes: Attribute) -> None: ...
