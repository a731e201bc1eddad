"""Where a token may go."""

import pytest

from ml_connector.errors import ContractBroken
from ml_connector_adapters.http import HostRule

ZOHO = HostRule("*.zohoapis.eu", "www.zohoapis.*", "acme.ifs.cloud", "127.0.0.1:8123", "localhost", "[::1]:9000")


@pytest.mark.parametrize(
    "url",
    [
        "https://www.zohoapis.eu/crm/v8",
        "https://a.b.zohoapis.eu",
        "https://www.zohoapis.com.au/crm",
        "https://www.zohoapis.com?x=1",
        "https://ACME.ifs.cloud:8443/main",
        "http://127.0.0.1:8123/v1",
        "http://localhost:5000",
        "http://[::1]:9000/v1",
    ],
)
def test_the_vendors_hosts_are_allowed(url: str) -> None:
    assert ZOHO.check(url, "acme") == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://zohoapis.eu/",  # the glob asks for a label in front
        "https://www.zohoapis.eu.evil.example/",
        "https://www.zohoapis.evil.example/",
        "https://evilzohoapis.eu/",
        "https://www.zohoapis.eu@evil.example/",
        "https://evil.example\\@www.zohoapis.eu/",
        "https://evil.example#.zohoapis.eu",
        "https://acme.ifs.cloud:99999999/",
        "https://acmeXifs.cloud/",
        "http://www.zohoapis.eu/",  # a token in clear text
        "http://127.0.0.1:8124/",
        "http://127.0.0.1/",
        "https://www.zohoapis.eu./",
        "https://wwẃ.zohoapis.eu/",
        "//www.zohoapis.eu/",
        "ftp://www.zohoapis.eu/",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(ContractBroken) as raised:
        ZOHO.check(url, "acme")
    assert str(raised.value).startswith("acme: ") and raised.value.fix


def test_plain_http_to_another_machine_is_refused_although_the_host_is_allowed() -> None:
    with pytest.raises(ContractBroken, match="plain http"):
        HostRule("erp.intern").check("http://erp.intern/v1", "acme")


def test_the_query_is_not_quoted_in_the_error() -> None:
    with pytest.raises(ContractBroken) as raised:
        HostRule().check("nowhere?code=s3cret", "acme")
    assert "s3cret" not in str(raised.value)
