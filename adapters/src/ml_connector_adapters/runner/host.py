"""What the program lends each plugin: the shared vault and clock, seen from one connection."""

from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any

from ml_connector.errors import AuthRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.secrets import Secret, Secrets, Token, TokenRecord, Tokens

CREDENTIAL = "default"
"""The name under which plugins with one credential keep its token."""


class ConnectionSecrets:
    """A missing secret is the connection's trouble, so its errors name the connection."""

    def __init__(self, connection: str, secrets: Secrets) -> None:
        self._connection, self._secrets = connection, secrets

    async def reveal(self, secret: Secret) -> str:
        try:
            return await self._secrets.reveal(secret)
        except AuthRejected as error:
            raise AuthRejected(error.what, fix=error.fix, where=self._connection) from None


class ConnectionTokens:
    """Credentials of two connections never meet, whatever their plugins call them."""

    def __init__(self, connection: str, tokens: Tokens) -> None:
        self._connection, self._tokens = connection, tokens

    def _name(self, credential: str) -> str:
        return f"{self._connection}/{credential}"

    async def load(self, credential: str) -> TokenRecord:
        return await self._tokens.load(self._name(credential))

    async def save(self, credential: str, record: TokenRecord) -> None:
        await self._tokens.save(self._name(credential), record)

    def refreshing(self, credential: str) -> AbstractAsyncContextManager[None]:
        return self._tokens.refreshing(self._name(credential))

    async def living(self) -> Token | None:
        """The token at hand, for ``status``."""
        return (await self.load(CREDENTIAL)).token


class ConnectionHost:
    """Fulfils Host for one connection."""

    def __init__(self, connection: str, *, clock: Clock, secrets: Secrets, tokens: Tokens, transport: Any = None) -> None:
        self.connection, self.clock, self.transport = connection, clock, transport
        self.random = Random()
        self.secrets = ConnectionSecrets(connection, secrets)
        self.tokens = ConnectionTokens(connection, tokens)
