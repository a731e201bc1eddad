"""All public errors, named after what happens next. ``docs/errors.md`` explains each to the people who meet them."""


class ConnectorError(Exception):
    """Base of all; never raised itself. Says where, what, and what to do."""

    def __init__(self, what: str, *, fix: str = "", where: str = "", code: str = "") -> None:
        super().__init__(what)
        self.what, self.fix, self.where, self.code = what, fix, where, code

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f". {self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"


class ConfigError(ConnectorError):
    """Stop before the first call. Carries every mistake at once, one per line of ``mistakes``. Exit code 2."""

    def __init__(self, what: str, *, fix: str = "", where: str = "", mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(what, fix=fix, where=where)
        self.mistakes = mistakes or (str(self),)


class AuthRejected(ConnectorError):
    """Pause this connection until a person acts; the others go on. Exit code 3."""


class RetryLater(ConnectorError):
    """The same call may work later: wait at least ``after_s`` seconds (None: as long as the back-off says).

    ``untouched``: the vendor certainly did nothing, so that even a create may be sent again.
    """

    def __init__(
        self,
        what: str,
        *,
        after_s: float | None = None,
        untouched: bool = False,
        fix: str = "",
        where: str = "",
        code: str = "",
    ) -> None:
        super().__init__(what, fix=fix, where=where, code=code)
        self.after_s, self.untouched = after_s, untouched


class Throttled(RetryLater):
    """The vendor counted our calls and did nothing (``untouched``). Slow down; no alarm."""

    def __init__(self, what: str, *, after_s: float | None = None, fix: str = "", where: str = "", code: str = "") -> None:
        super().__init__(what, after_s=after_s, untouched=True, fix=fix, where=where, code=code)


class Unavailable(RetryLater):
    """Timeout, connection lost, 5xx: an outage, told once."""


class AnswerLost(Unavailable):
    """A request that changes something left, and no answer came: its outcome is Unknown until somebody looks."""


class RecordRejected(ConnectorError):
    """Put this record aside with the vendor's words and carry on with the next. ``field`` is the canonical path, if known."""

    def __init__(self, what: str, *, fix: str = "", where: str = "", code: str = "", field: str = "") -> None:
        super().__init__(what, fix=fix, where=where, code=code)
        self.field = field


class ContractBroken(ConnectorError):
    """The vendor's side does not offer what the flow needs, or answered in a shape we do not know. Stop the flow."""


class LeaseHeld(ConnectorError):
    """Another runner (``owner``) holds the flow; leave it alone. Exit code 4."""

    def __init__(self, what: str, *, owner: str, fix: str = "", where: str = "") -> None:
        super().__init__(what, fix=fix, where=where)
        self.owner = owner


class LeaseLost(ConnectorError):
    """Our lease ended and somebody else may be at work: stop this run at once, commit nothing more."""


class NoticeRejected(ConnectorError):
    """The proof of a notice failed. Count it, change nothing, tell the sender nothing."""
