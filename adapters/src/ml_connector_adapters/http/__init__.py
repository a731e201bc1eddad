"""The HTTP kit lent to plugins: one client per connection that owns tokens, limits, retries and telemetry.

A plugin brings a ``Judge`` (its table of errors) and its limits. ``http.odata`` writes OData text, ``http.twins`` puts a twin
behind this client or behind a socket. httpx itself is imported when the first call is made.
"""

from ml_connector_adapters.http.client import Answer, HttpClient, Judge, TokenRefused
from ml_connector_adapters.http.hosts import HostRule
from ml_connector_adapters.http.limits import Cost, Limiter, Limits, retry_after
from ml_connector_adapters.http.oauth import Mints, OAuth, read_token

__all__ = [
    "Answer",
    "Cost",
    "HostRule",
    "HttpClient",
    "Judge",
    "Limiter",
    "Limits",
    "Mints",
    "OAuth",
    "TokenRefused",
    "read_token",
    "retry_after",
]
