"""Secrets and access tokens, encrypted in the state; what settings name by ``secret:``, ``env:``, ``file:`` is found here."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ml_connector.errors import AuthRejected, LeaseHeld
from ml_connector.ports.secrets import Secret, Secrets, TokenRecord, Tokens
from ml_connector_adapters.owner import is_dead, this_process
from ml_connector_adapters.store import Store
from ml_connector_adapters.store.engine import whole
from ml_connector_adapters.store.keys import MasterKey

_SECRET: Final = "secret"
_TOKEN: Final = "token"
_REFRESH_S: Final = 60.0
"""How long a refresher may take; one that died on another host holds the others up no longer than this."""
_LOOK_AGAIN_S: Final = 0.25

_record_in: Final = msgspec.json.Decoder(TokenRecord)
_record_out: Final = msgspec.json.Encoder()


class SecretName(msgspec.Struct, frozen=True):
    """What may be shown of a secret."""

    name: str
    created_at: datetime
    changed_at: datetime


class Vault:
    """Fulfils Secrets and Tokens over one Store. Every method raises ConfigError when the master key is not the right one."""

    def __init__(self, store: Store, *, environ: Mapping[str, str] | None = None) -> None:
        self._db, self._safe, self._leases = store.database, store.safe, store.leases
        self._environ = os.environ if environ is None else environ
        self._refreshers: dict[str, asyncio.Lock] = {}

    @property
    def key_origin(self) -> str:
        """Where the master key comes from, for people: "the generated file /srv/state.db.key"."""
        return self._safe.keys.origin

    @whole
    async def put(self, name: str, value: str) -> None:
        async with self._db.writing() as connection:
            await self._safe.put(connection, _SECRET, name, value.encode())

    async def get(self, name: str) -> str | None:
        async with self._db.reading() as connection:
            plain = await self._safe.get(connection, _SECRET, name)
        return None if plain is None else plain.decode()

    async def names(self) -> list[SecretName]:
        """In order of names; needs no key."""
        return [SecretName(name, *times) for name, times in (await self._safe.names(_SECRET)).items()]

    @whole
    async def delete(self, name: str) -> bool:
        """Whether there was one."""
        async with self._db.writing() as connection:
            return await self._safe.remove(connection, _SECRET, name)

    async def rotate(self, new_key: str | None = None) -> int:
        """Wrap every data key under a new master key (base64 of 32 bytes); returns how many.

        Without ``new_key`` one is made for a key file of ours. A key in the environment or in a named file is yours to change:
        put the new one in front of the old one there, rotate, and remove the old one when all processes have both. Raises
        ConfigError when there is no new key.
        """
        return await self._safe.rotate(None if new_key is None else MasterKey.parse(new_key, "the new key"))

    async def forget_all(self) -> int:
        """Throw away secrets, tokens and subscriptions' proofs, for when the master key is lost for good; returns how many."""
        return await self._safe.empty()

    async def reveal(self, secret: Secret) -> str:
        place, _, name = secret.reference.partition(":")
        if place == "secret":
            value, fix = await self.get(name), f"Run: ml-connector secrets set {name}"
        elif place == "env":
            value, fix = self._environ.get(name), f"Set the environment variable {name}"
        else:
            value, fix = await asyncio.to_thread(_content, Path(name)), "Put the value into that file, readable by this process"
        if not value:
            raise AuthRejected(f"There is no value behind {secret.reference}", fix=fix, where="vault")
        return value

    async def load(self, credential: str) -> TokenRecord:
        async with self._db.reading() as connection:
            plain = await self._safe.get(connection, _TOKEN, credential)
        return TokenRecord() if plain is None else _record_in.decode(plain)

    @whole
    async def save(self, credential: str, record: TokenRecord) -> None:
        async with self._db.writing() as connection:
            await self._safe.put(connection, _TOKEN, credential, _record_out.encode(record))

    @asynccontextmanager
    async def refreshing(self, credential: str) -> AsyncIterator[None]:
        """Our own tasks queue in order; others are waited for by looking at the lease row, unless they are known to be dead."""
        clock, row = self._db.clock, f"refresh {credential}"
        async with self._refreshers.setdefault(credential, asyncio.Lock()):
            while True:
                try:
                    lease = await self._leases.claim(row, this_process(), _REFRESH_S)
                    break
                except LeaseHeld as held:
                    if is_dead(held.owner):
                        await self._leases.bury(row, held.owner)
                    else:
                        await clock.sleep(_LOOK_AGAIN_S)
            try:
                yield
            finally:
                await self._leases.release(lease)


def _content(path: Path) -> str | None:
    """Without the newline that editors put at the end; None when the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError):
        return None


if TYPE_CHECKING:
    _secrets: type[Secrets] = Vault
    _tokens: type[Tokens] = Vault
