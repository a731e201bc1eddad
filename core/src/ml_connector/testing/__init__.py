"""Fakes that keep the ports' promises, shipped for tests of plugins, flows and the engine. They pass the contract tests.

``MemorySystem`` is the vendor's side (records, people, misbehaviour), ``memory_connection`` its connector, ``MemoryState`` the
engine's memory; clock, host and telemetry make up the rest of a world in one process.
"""

from ml_connector.testing.clock import ManualClock
from ml_connector.testing.connection import MemoryFeed, MemorySink, MemorySweep, memory_connection
from ml_connector.testing.lent import MemoryHost, MemorySecrets, MemoryTokens, SilentSpan, SilentTelemetry, memory_host
from ml_connector.testing.notices import MemoryNotices
from ml_connector.testing.shapes import Habits
from ml_connector.testing.state import MemoryState
from ml_connector.testing.system import MemorySystem

__all__ = [
    "Habits",
    "ManualClock",
    "MemoryFeed",
    "MemoryHost",
    "MemoryNotices",
    "MemorySecrets",
    "MemorySink",
    "MemoryState",
    "MemorySweep",
    "MemorySystem",
    "MemoryTokens",
    "SilentSpan",
    "SilentTelemetry",
    "memory_connection",
    "memory_host",
]
