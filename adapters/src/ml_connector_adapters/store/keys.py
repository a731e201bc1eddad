"""Master keys: where they come from, and the envelope that they close.

A fresh data key encrypts each value (AES-256-GCM), a master key encrypts the data key; both are bound to the value's place,
so that a row copied elsewhere does not open.
"""

import os
import secrets
import tempfile
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ml_connector.errors import ConfigError

KEY_VARIABLE: Final = "ML_CONNECTOR_KEY"
FILE_VARIABLE: Final = "ML_CONNECTOR_KEY_FILE"
HOW: Final = "openssl rand -base64 32"
_NONCE: Final = 12


class MasterKey:
    """32 bytes, known to others only by ``id``."""

    __slots__ = ("_bytes", "id")

    def __init__(self, key: bytes) -> None:
        self._bytes = key
        self.id = sha256(b"ml-connector master key " + key).hexdigest()[:16]

    @classmethod
    def new(cls) -> "MasterKey":
        return cls(secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str, where: str) -> "MasterKey":
        """From base64 of 32 bytes. Raises ConfigError, which does not repeat the text."""
        try:
            key = b64decode(text.translate({45: 43, 95: 47}), validate=True)  # the URL-safe alphabet is fine too
        except (NotBase64, ValueError):
            key = b""
        if len(key) != 32:
            raise ConfigError("The master key is not base64 of 32 bytes", fix=f"Make one with: {HOW}", where=where)
        return cls(key)

    def text(self) -> str:
        """What ``parse`` reads; for the key file alone."""
        return b64encode(self._bytes).decode()

    def wrap(self, data_key: bytes, place: bytes) -> bytes:
        return _encrypt(self._bytes, data_key, place)

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """Raises InvalidTag."""
        return _decrypt(self._bytes, wrapped, place)

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"


class Sealed(msgspec.Struct, frozen=True):
    """An envelope; only its key's id is readable."""

    key_id: str
    wrapped: bytes
    box: bytes


def seal(key: MasterKey, plain: bytes, place: str) -> Sealed:
    data_key, bound = AESGCM.generate_key(256), place.encode()
    return Sealed(key.id, key.wrap(data_key, bound), _encrypt(data_key, plain, bound))


def unseal(key: MasterKey, sealed: Sealed, place: str) -> bytes:
    """Raises ConfigError when the envelope was altered, or sealed for another place."""
    try:
        return _decrypt(key.unwrap(sealed.wrapped, place.encode()), sealed.box, place.encode())
    except InvalidTag:
        raise _altered(place) from None


def rewrap(old: MasterKey, new: MasterKey, sealed: Sealed, place: str) -> Sealed:
    """The same box under another master key; what is inside is not opened."""
    try:
        return Sealed(new.id, new.wrap(old.unwrap(sealed.wrapped, place.encode()), place.encode()), sealed.box)
    except InvalidTag:
        raise _altered(place) from None


def _encrypt(key: bytes, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _decrypt(key: bytes, box: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], bound)


def _altered(place: str) -> ConfigError:
    return ConfigError(
        f"The stored {place.replace('/', ' ', 1)} was altered, or copied from another entry, and does not open",
        fix="Set it anew, and look who else can write to the state",
        where="vault",
    )


class MasterKeys:
    """The keys at hand, by id: from the environment, a file that it names, or a file of ours beside the state.

    Each of the three may hold several keys, separated by white space or commas: rotation needs the old and the new for a while.
    """

    def __init__(self, beside: Path | None, environ: Mapping[str, str]) -> None:
        self._environ, self._own = environ, beside
        self._keys: dict[str, MasterKey] = {}
        if environ.get(KEY_VARIABLE):
            self.origin, self._file = f"the environment variable {KEY_VARIABLE}", None
        elif environ.get(FILE_VARIABLE):
            self.origin, self._file = f"the file {environ[FILE_VARIABLE]} ({FILE_VARIABLE})", Path(environ[FILE_VARIABLE])
        elif beside is not None:
            self.origin, self._file = f"the generated file {beside}", beside
        else:
            self.origin, self._file = "nowhere", None

    @property
    def generated(self) -> bool:
        """Whether the key file is ours to write."""
        return self._file is not None and self._file == self._own

    def find(self, key_id: str) -> MasterKey:
        """Looks at the origin again before giving up, since another process may have rotated. Raises ConfigError."""
        if key_id not in self._keys:
            self._read()
        if key_id not in self._keys:
            held = ", ".join(self._keys) or "none"
            raise ConfigError(
                f"The master key is not the one that the secrets here are sealed with: they need key {key_id}, "
                f"{self.origin} holds {held}",
                fix=f"Bring back the right key as {KEY_VARIABLE} or {FILE_VARIABLE}; if it is lost for good, "
                "run: ml-connector secrets forget, and set every secret anew",
                where="vault",
            )
        return self._keys[key_id]

    def first(self) -> MasterKey:
        """The key to begin with; a key file of ours is made if there is none. Raises ConfigError when nothing names a key."""
        self._read()
        if not self._keys and self.generated:
            assert self._own is not None
            _write(self._own, [MasterKey.new()], new=True)
            self._read()  # another process may have been faster, and then its key counts
        if not self._keys:
            raise ConfigError(
                "There is no master key to seal secrets with",
                fix=f"Set {KEY_VARIABLE} to what this prints: {HOW}; or {FILE_VARIABLE} to a file that holds it",
                where="vault",
            )
        return next(iter(self._keys.values()))

    def next(self, present: MasterKey) -> MasterKey:
        """What to rotate to: a new key where the file is ours, else the one that was put in front of the present one."""
        if self.generated:
            return MasterKey.new()
        key = self.first()
        if key.id == present.id:
            raise ConfigError(
                f"The new master key is missing: {self.origin} is yours to change",
                fix=f"Put a new one ({HOW}) in front of the present one, with a comma between; rotate; remove the old one",
                where="vault",
            )
        return key

    def add(self, key: MasterKey) -> None:
        """Know a new key beside the others; a key file of ours keeps it before it is used."""
        self._keys = {key.id: key} | self._keys
        if self.generated:
            assert self._own is not None
            _write(self._own, list(self._keys.values()))

    def keep_only(self, key: MasterKey) -> None:
        """Forget the others, once all that they wrapped has been committed under ``key``."""
        self._keys = {key.id: key}
        if self.generated:
            assert self._own is not None
            _write(self._own, [key])

    def _read(self) -> None:
        if self._file is None:
            text = self._environ.get(KEY_VARIABLE, "")
        else:
            try:
                text = self._file.read_text()
            except FileNotFoundError:
                if not self.generated:
                    raise ConfigError(f"{FILE_VARIABLE} names a file that is not there", where=str(self._file)) from None
                text = ""
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"The key file cannot be read ({type(error).__name__})", where=str(self._file)) from None
        fresh = [MasterKey.parse(word, self.origin) for word in text.replace(",", " ").split()]
        self._keys = {key.id: key for key in fresh} | self._keys


def _write(path: Path, keys: list[MasterKey], *, new: bool = False) -> None:
    """All or nothing, readable by us alone. ``new``: only where there is none yet."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write("".join(f"{key.text()}\n" for key in keys))
            file.flush()
            os.fsync(handle)
        if not new:
            Path(name).replace(path)
        elif not path.exists():
            os.link(name, path)
    except FileExistsError:
        return
    finally:
        Path(name).unlink(missing_ok=True)
