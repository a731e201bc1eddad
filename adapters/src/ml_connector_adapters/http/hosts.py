"""Which hosts may be called, and so may see a token: links, redirects and ``api_domain`` are the vendor's words, not ours."""

import re
from ipaddress import ip_address

from ml_connector.errors import ContractBroken

# Stricter than any URL parser, so that no two parsers can disagree about the host: no user:password@, no backslash, no unicode.
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|\Z)", re.IGNORECASE)
_LABELS = {
    "first": r"(?:[a-z0-9_-]+\.)+",  # "*.zohoapis.eu": any depth, all of it belongs to the owner of zohoapis.eu
    "middle": r"[a-z0-9_-]*",
    "last": r"\.(?:(?:com|co)\.[a-z]{2}|[a-z]{2,})",  # "www.zohoapis.*": a country's ending, never "www.zohoapis.evil.example"
}


def is_loopback(host: str) -> bool:
    """Whether the host name (no port, IPv6 with or without brackets) is this very machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host of an http(s) URL in lower case, "" when there is none to be had without doubt."""
    origin = _ORIGIN.match(url)
    return origin[2].lower() if origin else ""


class HostRule:
    """The hosts of one connection: "acme.ifs.cloud", with a port "127.0.0.1:8123", or a glob "*.zohoapis.eu", "www.zohoapis.*".

    A leading ``*.`` stands for one or more labels, a trailing ``.*`` for the ending of a country or "com.au" and its like, a
    ``*`` elsewhere for a part of one label. Without a port every port matches.
    """

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self._patterns = tuple(_pattern(host.lower()) for host in hosts)

    def check(self, url: str, where: str) -> str:
        """Return ``url`` when a token may go there.

        Raises ContractBroken when the host is not allowed, when the scheme is http and the host not this machine, or when
        the URL is written in a way that leaves the host open to doubt.
        """
        origin = _ORIGIN.match(url)
        if origin is None:
            raise ContractBroken(
                f"{url.partition('?')[0][:100]!r} is no plain http(s) address, so nothing was sent there",
                fix="Write it as https://host/path, without user name or password",
                where=where,
            )
        scheme, host = origin[1].lower(), origin[2].lower()
        port = int(origin[3] or (443 if scheme == "https" else 80))
        if not any(pattern.fullmatch(f"{host}:{port}") for pattern in self._patterns):
            raise ContractBroken(
                f"the host {host}:{port} is not one of this connection's ({', '.join(self.hosts)}), so nothing was sent to it",
                fix="If the host is your vendor's, allow it in the connection's settings",
                where=where,
            )
        if scheme == "http" and not is_loopback(host):
            raise ContractBroken(f"{host} would get a token over plain http", fix="Use https", where=where)
        return url


def _pattern(host: str) -> re.Pattern[str]:
    bracketed = host.startswith("[")
    name, colon, port = host.rpartition(":") if not bracketed or "]:" in host else (host, "", "")
    if not colon:
        name = host
    first, last = name.startswith("*."), name.endswith(".*")
    middle = name[2 if first else 0 : -2 if last else None]
    text = re.escape(middle).replace(r"\*", _LABELS["middle"])
    return re.compile(
        (_LABELS["first"] if first else "") + text + (_LABELS["last"] if last else "") + (f":{port}" if colon else r":\d+")
    )
