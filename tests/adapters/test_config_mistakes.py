"""Every mistake in a configuration file is told at once, with its place, what was found, and what is allowed."""

import string
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_connector.errors import ConfigError
from ml_connector_adapters.config import load

sys.path.append(str(Path(__file__).parent))

from config_world import GOOD, SYSTEMS, mistakes, spoilt

SECRET = "1000.f3c9hunter2"  # whatever the user pastes must not come back in a message


def test_five_mistakes_in_five_places_are_five_lines(tmp_path: Path) -> None:
    text = spoilt(
        ("base_url", "base_ulr"),
        ('channel_ttl = "6d"', "channel_ttl = 6"),
        ('entity = "order"', 'entity = "ordr"'),
        ('every = "15m"', 'every = "a while"'),
        ("lookup('order_stage'", "lookup('order_stages'"),
    )
    assert mistakes(tmp_path, text) == [
        'connections.erp.base_ulr: unknown setting. Did you mean "base_url"?',
        'connections.crm.channel_ttl: found 6. Expected a span of time such as "15m"',
        'flows.orders.entity: "ordr" is not known. Did you mean "order"?',
        'flows.orders.every: "a while" is no span of time. Write a whole number and s, m, h or d: "15m"',
        "flows.orders.set.stage: lookup('order_stages', status): there is no table \"order_stages\". "
        'Did you mean "order_stage"?',
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[tables.order", "[table.order", 'table: unknown section. Did you mean "tables"?'),
        ('name = "acme"\n', "", "workspace.name: missing. Expected a text"),
        ('name = "acme"', 'name = "Acme Ltd."', 'workspace.name: found "Acme Ltd.". Expected a text matching'),
        ("sqlite:///acme.db", "mysql://db/acme", 'workspace.state: "mysql" is no database for state'),
        ("sqlite:///acme.db", "sqlite://", "workspace.state: it names no file"),
        ("sqlite:///acme.db", "acme.db", "workspace.state: this is no address of a database"),
        ("https://sync.acme", "ftp://sync.acme", "workspace.public_url: this is no plain address"),
        ("https://sync.acme", "http://sync.acme", "workspace.public_url: plain http to sync.acme.example"),
        (
            "[connections.crm]",
            "[connections.'c r m']\nsystem = 'zoho-crm'\nrefresh_token = 'env:TOKEN'\n[connections.crm]",
            'connections."c r m": this cannot be a name',
        ),
        ('system = "zoho-crm"\n', "", "connections.crm.system: missing. Installed: ifs-cloud, zoho-crm"),
        ('"zoho-crm"', '"zoho"', 'connections.crm.system: "zoho" is not installed'),
        ('"zoho-crm"', '"qad"', 'connections.crm.system: "qad" is not installed. Run: pip install ml-connector-qad'),
        ('base_url = "https://acme.ifs.cloud"\n', "", "connections.erp.base_url: missing. Expected a text"),
        ("https://acme.ifs.cloud", "acme.ifs.cloud", 'connections.erp.base_url: "acme.ifs.cloud" is not an address like'),
        (
            "https://acme.ifs.cloud",
            "http://acme.ifs.cloud",
            "connections.erp.base_url: plain http to acme.ifs.cloud. Use https",
        ),
        ("read_timeout_s = 2.5", 'read_timeout_s = "2"', 'connections.erp.read_timeout_s: found "2". Expected a number'),
        ("read_timeout_s = 2.5", "read_timeout_s = nan", "connections.erp.read_timeout_s: found NaN. Expected a number"),
        ("read_timeout_s = 2.5", "page_size = 0", "connections.erp.page_size: found 0. Expected a whole number of at least 1"),
        ("read_timeout_s = 2.5", "page_size = true", "connections.erp.page_size: found true. Expected a whole number"),
        (
            "read_timeout_s = 2.5",
            'paging = "keysets"',
            'connections.erp.paging: "keysets" is not known. Did you mean "keyset"?',
        ),
        (
            "read_timeout_s = 2.5",
            "limits = { concurency = 1 }",
            "connections.erp.limits.concurency: unknown setting. Did you mean",
        ),
        ("read_timeout_s = 2.5", "limits = 4", "connections.erp.limits: found 4. Expected a table"),
        (
            "read_timeout_s = 2.5",
            'entities = { ordr = { key = "OrderNo" } }',
            'connections.erp.entities.ordr: "ordr" is not known',
        ),
        ("read_timeout_s = 2.5", "entities.order = {}", "connections.erp.entities.order.key: missing. Expected a text"),
        (
            "read_timeout_s = 2.5",
            'entities.order = { key = "OrderNo", select = ["A", "B", "C", "D"] }',
            "connections.erp.entities.order.select: found 4 entries. Expected a list with at most 3 entries",
        ),
        (
            "read_timeout_s = 2.5",
            'headers = { a = ["http://x.example"] }',
            "connections.erp.headers.a[0]: plain http to x.example",
        ),
        (
            'channel_ttl = "6d"',
            'channel_ttl = "6 days"',
            'connections.crm.channel_ttl: found "6 days". Expected a span of time',
        ),
        ('from = "erp"', 'from = "epr"', 'flows.orders.from: no connection "epr". Did you mean "erp"?'),
        ('from = "erp"', 'from = "crm"', 'flows.orders.to: "crm" is where the records come from'),
        (
            'entity = "account"',
            'entity = "invoice"',
            "flows.customers.entity: ifs-cloud does not read invoice. It reads account",
        ),
        (
            'entity = "account"',
            'entity = "order"',
            "flows.customers.entity: zoho-crm does not write order. It writes account, deal",
        ),
        (
            'entity = "account"',
            'entity = "order"\nas = "order"',
            "flows.customers.as: zoho-crm does not write order. It writes",
        ),
        ('as = "deal"', 'as = "contact"', 'flows.orders.as: order cannot become contact. It can become "deal"'),
        (
            'as = "deal"',
            'as = "deal"\nmatch = ["nmber"]',
            'flows.orders.match: deal has no field "nmber". Did you mean "number"?',
        ),
        (
            'as = "deal"',
            'as = "deal"\nmatch = []',
            "flows.orders.match: found 0 entries. Expected a list with at least 1 entries",
        ),
        (
            'as = "deal"',
            'as = "deal"\nmatch = ["amount.currency"]',
            'flows.orders.match: "amount.currency" is a part of a field',
        ),
        ('as = "deal"', 'as = "deal"\nmatch = ["number", "lines"]', 'flows.orders.match: "lines" holds more than one value'),
        ('as = "deal"', 'as = "deal"\nmatch = ["extra.No"]', 'flows.orders.match: "extra.No" is a custom field'),
        (
            '"account"',
            '"account"\nfields = ["billing.city"]',
            'flows.customers.fields: "billing.city" is a part of a field. Write',
        ),
        ('"account"', '"account"\nfields = ["phon"]', 'flows.customers.fields: account has no field "phon". Did you mean'),
        ('"account"', '"account"\nset = { cty = "name" }', 'flows.customers.set.cty: account has no field "cty"'),
        (
            '"account"',
            '"account"\nset = { extra = "name" }',
            'flows.customers.set.extra: custom fields are written "extra.NAME"',
        ),
        (
            '"account"',
            '"account"\nset = { extra.Region = "name" }',
            'flows.customers.set.extra: found a table. A name with dots stands in quotes: "extra.Region"',
        ),
        ('"account"', '"account"\nset = { phone = 5 }', "flows.customers.set.phone: found 5. Expected a text"),
        ('"account"', '"account"\nset = { phone = "total" }', 'flows.customers.set.phone: account has no field "total"'),
        (
            '"account"',
            '"account"\nfields = ["name"]\nset = { phone = "fax" }',
            'flows.customers.set.phone: it would not be touched, because fields leaves it out. Add "phone"',
        ),
        ('["customers"]', '["customer"]', 'flows.orders.after: no flow "customer". Did you mean "customers"?'),
        ('["customers"]', '"customers"', 'flows.orders.after: found "customers". Expected a list'),
        ('"15m"', '"15m"\ncron = "0 * * * *"', "flows.orders.cron: every and cron exclude each other"),
        ('"15m"', '"0m"', 'flows.orders.every: "0m" is no span of time'),
        ("*/15 6-20 * * 1-5", "*/15 6-27 * * 1-5", 'flows.customers.cron: "*/15 6-27 * * 1-5" is no cron expression'),
        ("*/15 6-20 * * 1-5", "0 */15 6-20 * * 1-5", "flows.customers.cron:"),
        ("`0`", "0", '"0" cannot stand at character 16. A number stands between backticks: `0`'),
        (
            "'Planned'\"",
            '\\"Planned\\""',
            'flows.orders.where: order has no field "Planned". A text stands between single quotes',
        ),
        (
            "total.amount >",
            "total.amout >",
            'flows.orders.where: order has no field "total.amout". Did you mean "total.amount"?',
        ),
        (
            "total.amount >",
            "sum(lines.net) >",
            'flows.orders.where: order has no field "lines.net". Did you mean "lines[].net"?',
        ),
        (
            "lookup('order_stage', status)",
            "lokup('order_stage', status)",
            'there is no function lokup(). Did you mean "lookup"?',
        ),
        ("lookup('order_stage', status)", "upper(status, type)", "upper() takes 1 argument, not 2"),
        ('"15m"', '"15m"\nwrites = "upsert"', 'flows.orders.writes: "upsert" is not known'),
        ('"15m"', '"15m"\ndrift = "restor"', 'flows.orders.drift: "restor" is not known. Did you mean "restore"?'),
        ('"15m"', '"15m"\ndeletes = "delete"', 'flows.orders.deletes: "delete" is not known. There are: deactivate, ignore'),
        (
            '"15m"',
            '"15m"\nowner = "crm"',
            "flows.orders.owner: a one-way flow's source owns everything. Leave it out",
        ),
        ('"15m"', '"15m"\nowners = { phone = "crm" }', "flows.orders.owners: a one-way flow's source owns everything"),
        ('from = "erp"\n', "", "flows.orders.from: missing. Expected the name of a connection"),
        ('Invoiced = "Closed Won"', "Invoiced = []", "tables.order_stage.Invoiced: found a list. Expected a text, a number"),
    ],
)
def test_one_mistake_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    [line] = mistakes(tmp_path, spoilt((old, new)))
    assert told in line


@pytest.mark.parametrize(
    "pasted",
    [
        f'client_secret = "{SECRET}"',
        f'client_secret = ["{SECRET}"]',
        f'client_secret = {{ value = "{SECRET}" }}',
        'client_secret = "secret:"',
        "client_secret = 5",
        f'client_secert = "{SECRET}"',
        f'client_secret = "env:ERP_SECRET"\nbase_url = "ftp://sync:{SECRET}@acme.ifs.cloud"',
    ],
)
def test_a_secret_written_out_is_refused_and_never_repeated(tmp_path: Path, pasted: str) -> None:
    text = spoilt(('base_url = "https://acme.ifs.cloud"\n', ""), ('client_secret = "secret:erp/client_secret"', pasted))
    if "base_url" not in pasted:
        text = text.replace("[connections.erp]", '[connections.erp]\nbase_url = "https://acme.ifs.cloud"')
    [line] = mistakes(tmp_path, text)
    assert line.startswith("connections.erp.")
    assert SECRET not in line


def test_who_writes_a_secret_out_is_shown_how_to_keep_it(tmp_path: Path) -> None:
    [line] = mistakes(tmp_path, spoilt(("env:ZOHO_REFRESH_TOKEN", SECRET)))
    assert 'Write "secret:crm/refresh_token"' in line
    assert "ml-connector secrets set crm/refresh_token" in line


def test_a_secret_inside_a_list_is_guarded_too(tmp_path: Path) -> None:
    [line] = mistakes(tmp_path, spoilt(('channel_ttl = "6d"', f'proxies = ["env:PROXY", "{SECRET}"]')))
    assert line.startswith("connections.crm.proxies[1]: a secret is never written out")
    assert SECRET not in line


def test_flows_that_wait_for_one_another_are_told_once_per_circle(tmp_path: Path) -> None:
    text = spoilt(('entity = "account"', 'entity = "account"\nafter = ["orders"]'))
    text += '\n[flows.alone]\nfrom = "erp"\nto = "crm"\nentity = "account"\nafter = ["alone", "orders"]\n'
    assert mistakes(tmp_path, text) == [
        "flows.orders.after: these flows wait for one another: orders → customers → orders. Take one out",
        "flows.alone.after: these flows wait for one another: alone → alone. Take one out",
    ]


def test_an_unknown_system_is_not_told_again_at_every_flow_that_uses_it(tmp_path: Path) -> None:
    [line] = mistakes(tmp_path, spoilt(('system = "ifs-cloud"', 'system = "pipedrive"')))
    assert "pip install ml-connector-pipedrive" in line


def test_several_mistakes_of_one_flow_are_all_told(tmp_path: Path) -> None:
    text = spoilt(
        ('from = "erp"', 'from = "epr"'), ('every = "15m"', "every = 15"), ("status != ", "state != "), ("stage = ", "stge = ")
    )
    assert [line.partition(":")[0] for line in mistakes(tmp_path, text)] == [
        "flows.orders.every",
        "flows.orders.from",
        "flows.orders.where",
        "flows.orders.set.stge",
    ]


def test_what_the_source_cannot_read_hides_no_missing_target(tmp_path: Path) -> None:
    text = spoilt(('to = "crm"\nentity = "account"', 'to = "cmr"\nentity = "invoice"'))
    assert [line.partition(":")[0] for line in mistakes(tmp_path, text)] == ["flows.customers.entity", "flows.customers.to"]


def test_one_bad_entry_of_a_table_hides_none_of_the_others(tmp_path: Path) -> None:
    text = spoilt(("stage = ", "amount = 5\nstge = "))
    assert [line.partition(":")[0] for line in mistakes(tmp_path, text)] == ["flows.orders.set.amount", "flows.orders.set.stge"]


def test_two_files_of_a_directory_cannot_share_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    (tmp_path / "c.toml").write_text(GOOD.replace('"acme"', '"bolt"').replace("base_url", "url"))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, SYSTEMS)
    assert [line.partition(": ")[0] for line in caught.value.mistakes] == ["b.toml", "c.toml", "c.toml"]
    assert '"acme" is already the name of a.toml' in caught.value.mistakes[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[workspace]\nname = "acme', "this is not TOML"),
        (b'[connections.erp]\nsystem = "a"\n[connections.erp]\n', "this is not TOML"),
        (b'[workspace]\nname = "\xff"', "this is not UTF-8 (byte 21)"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "ml-connector.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "ml-connector.toml", SYSTEMS)
    assert told in caught.value.mistakes[0]


def test_the_error_names_the_file_and_shows_every_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        mistakes_file = tmp_path / "ml-connector.toml"
        mistakes_file.write_text("[workspace]\n")
        load(mistakes_file, SYSTEMS)
    assert str(caught.value).startswith(f"{mistakes_file}: 2 mistakes\n  workspace.name: missing")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["set", "key", "system", "from"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in value) + '"'
    return "1.5" if value is None else str(value).lower()


@settings(max_examples=150, deadline=None)
@given(line=st.sampled_from([line for line in GOOD.splitlines() if " = " in line]), value=values)
def test_whatever_stands_there_the_answer_is_a_workspace_or_a_list_of_mistakes(line: str, value: object) -> None:
    text = GOOD.replace(line, f"{line.partition(' = ')[0]} = {_toml(value)}", 1)
    with TemporaryDirectory() as folder:
        for told in mistakes(Path(folder), text):
            assert ": " in told
