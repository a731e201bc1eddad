"""The invariants by name, in the order of docs/guarantees.md."""

from typing import Final

import msgspec

LOST: Final = "nothing is lost"
DOUBLED: Final = "nothing is doubled"
BLIND: Final = "nothing is overwritten blindly"
OLDER: Final = "older never wins"
LOOPS: Final = "no loops"
RESTS: Final = "it converges"
LEDGER: Final = "the ledger is honest"
ALONE: Final = "one record's trouble is its own"
LIMITS: Final = "vendors' limits are kept"
SECRETS: Final = "secrets stay secret"
FORGED: Final = "only the vendor gets in"
FENCED: Final = "a process that lost its lease commits nothing"


class Broken(msgspec.Struct, frozen=True):
    """An invariant that does not hold, and what shows it."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"
