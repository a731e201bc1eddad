"""The client beneath the connector of a MemorySystem."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, TypeVar

from ml_connector.errors import ConnectorError, RetryLater, Unavailable
from ml_connector.ports.secrets import Secret, Token, TokenRecord
from ml_connector.system import Host
from ml_connector.testing.system import CREDENTIAL, MemorySystem, TokenExpired

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""A longer wait is the runner's."""
ATTEMPTS: Final = 4
_LEEWAY: Final = timedelta(seconds=30)


class MemoryClient:
    """What a plugin's HTTP client does: one shared token, as many calls at once as the system takes, waiting and repeating."""

    def __init__(self, system: MemorySystem, host: Host) -> None:
        self.connection = host.connection
        self._system, self._host = system, host
        self._slots = asyncio.Semaphore(system.concurrency)

    async def call(self, work: Callable[[], T], *, keys: Iterable[str] = (), repeatable: bool = True) -> T:
        """Have the system do the work. Raises its errors once patience and attempts are used up."""
        keys = tuple(keys)
        try:
            async with self._slots:
                return await self._persist(work, keys, repeatable)
        except ConnectorError as error:
            error.where = error.where or self.connection
            raise

    async def _persist(self, work: Callable[[], T], keys: tuple[str, ...], repeatable: bool) -> T:
        refused: str | None = None
        for attempt in range(1, ATTEMPTS + 1):
            token = await self._token(refused)
            try:
                return await self._system.serve(token, keys, work)
            except TokenExpired:
                if refused is not None:
                    raise
                refused = token
            except RetryLater as error:
                wait = error.after_s if error.after_s is not None else 2.0**attempt
                if attempt == ATTEMPTS or wait > PATIENCE_S or not (repeatable or error.untouched):
                    raise
                await self._host.clock.sleep(wait)
        raise Unavailable("No attempt led anywhere")

    async def _token(self, refused: str | None) -> str:
        """The living token, whoever minted it; a new one by one task at a time."""
        if (token := await self._remembered(refused)) is not None:
            return token
        async with self._host.tokens.refreshing("default"):
            if (token := await self._remembered(refused)) is not None:
                return token
            value, until = await self._system.mint(await self._host.secrets.reveal(Secret(f"secret:{CREDENTIAL}")))
            record = await self._host.tokens.load("default")
            minted = (*record.minted, self._host.clock.now())
            await self._host.tokens.save("default", TokenRecord(token=Token(value=value, expires_at=until), minted=minted))
            return value

    async def _remembered(self, refused: str | None) -> str | None:
        token = (await self._host.tokens.load("default")).token
        if token is None or token.value == refused or token.expires_at <= self._host.clock.now() + _LEEWAY:
            return None
        return token.value

    async def close(self) -> None:
        """Nothing is held open."""
