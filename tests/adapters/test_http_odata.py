"""OData text means to the server what the program meant, whatever people put into their fields."""

import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import unquote
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml_connector_adapters.http import odata

AWKWARD = st.text(st.characters(exclude_categories=["Cs"]))


def read_string(text: str) -> str:
    """An OData string literal read by the standard's grammar."""
    match = re.fullmatch(r"'((?:[^']|'')*)'", text, re.DOTALL)
    assert match, text
    return match[1].replace("''", "'")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (10042, "10042"),
        (Decimal("1E+3"), "1000"),
        (Decimal("12.50"), "12.50"),
        (date(2026, 1, 15), "2026-01-15"),
        (datetime(2026, 1, 15, 10, tzinfo=timezone(timedelta(hours=2))), "2026-01-15T08:00:00Z"),
        (datetime(2026, 1, 15, 10, 0, 0, 999_999, tzinfo=UTC), "2026-01-15T10:00:00.999Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("O'Brien", "'O''Brien'"),
        (odata.EnumLiteral("IfsApp.CustomerOrderHandling.CustomerOrderState", "Released"), None),
    ],
)
def test_each_type_has_its_literal(value: odata.Value, text: str | None) -> None:
    assert odata.literal(value) == (text or "IfsApp.CustomerOrderHandling.CustomerOrderState'Released'")


def test_what_has_no_literal_is_refused() -> None:
    with pytest.raises(TypeError):
        odata.literal(12.5)  # type: ignore[arg-type]
    for value in (datetime(2026, 1, 15), Decimal("NaN")):
        with pytest.raises(ValueError, match=r"no (time zone|number)"):
            odata.literal(value)
    with pytest.raises(ValueError, match="no values"):
        odata.one_of("State", [])


def test_conditions_keep_their_grouping() -> None:
    closed = odata.one_of("Objstate", ["Closed", "Cancelled"])
    text = odata.both(odata.ge("DateEntered", date(2026, 1, 15)), "", closed, odata.ne("Company", None))
    assert text == "DateEntered ge 2026-01-15 and (Objstate eq 'Closed' or Objstate eq 'Cancelled') and Company ne null"
    assert odata.one_of("Objstate", ["Closed"]) == "Objstate eq 'Closed'"
    assert odata.both(odata.gt("A", 1), odata.lt("B", 2), odata.le("C", 3)) == "A gt 1 and B lt 2 and C le 3"


def test_a_key_names_every_part_and_keeps_its_punctuation() -> None:
    assert odata.key(OrderNo="C1001", LineItemNo=0) == "(OrderNo='C1001',LineItemNo=0)"
    assert odata.key(PartNo="A/B (1)+'x'") == "(PartNo='A%2FB%20%281%29%2B''x''')"


@given(AWKWARD)
@example("A/B?C#D%2F&+=,('..')")
def test_any_text_survives_a_key_on_its_way_through_the_client(text: str) -> None:
    target = "/Orders" + odata.key(OrderNo=text, LineNo=1)
    sent = httpx.URL("https://acme.test" + target).raw_path.decode()
    assert sent == target
    value = re.fullmatch(r"/Orders\(OrderNo=([^/,()?#+]*),LineNo=1\)", sent)
    assert value and read_string(unquote(value[1])) == text


@given(AWKWARD)
@example("A+B & C=D; 50% #1 'x'")
def test_any_text_survives_a_query_and_a_plus_sign_never_appears(text: str) -> None:
    target = "/Orders" + odata.query(select=["OrderNo", "Objstate"], filter=odata.eq("Name", text), top=5)
    sent = httpx.URL("https://acme.test" + target).raw_path.decode()
    assert sent == target
    assert "+" not in sent
    select, condition, top = sent.partition("?")[2].split("&")
    assert (select, top) == ("$select=OrderNo,Objstate", "$top=5")
    assert read_string(unquote(condition).removeprefix("$filter=Name eq ")) == text


def test_writing_odata_text_loads_neither_the_network_nor_the_telemetry_sdk() -> None:
    code = (
        "import sys, ml_connector_adapters.http.odata; print([m for m in ('httpx', 'opentelemetry.sdk') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_options_without_a_value_are_left_out() -> None:
    assert odata.query() == odata.query(filter="", select=[], top=None) == ""
    assert odata.query(count=True, skip=0, orderby="OrderNo desc") == "?$count=true&$skip=0&$orderby=OrderNo%20desc"


def test_a_page_accepts_both_spellings_of_the_next_link() -> None:
    decoder = msgspec.json.Decoder(odata.Listing[dict[str, str]])
    for name in ("@odata.nextLink", "@nextLink"):
        page = decoder.decode(f'{{"@odata.context":"x","value":[{{"OrderNo":"C1"}}],"{name}":"Orders?$skiptoken=2"}}')
        assert (page.value, page.next_link) == ([{"OrderNo": "C1"}], "Orders?$skiptoken=2")
    assert decoder.decode('{"value":[]}').next_link is None
