"""What a good configuration file becomes."""

import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ml_connector.errors import ConfigError
from ml_connector.flows import Cron, Every
from ml_connector.ports.secrets import Secret
from ml_connector_adapters.config import find, json_schema, load

sys.path.append(str(Path(__file__).parent))

from config_world import CRM, ERP, GOOD, SYSTEMS, CrmSettings, ErpSettings, read, spoilt


def test_a_file_becomes_a_workspace_with_its_connections(tmp_path: Path) -> None:
    acme = read(tmp_path)
    assert (acme.name, acme.public_url) == ("acme", "https://sync.acme.example")
    assert acme.connections["erp"].system is ERP
    assert acme.connections["crm"].settings == CrmSettings(
        refresh_token=Secret("env:ZOHO_REFRESH_TOKEN"), channel_ttl=timedelta(days=6)
    )
    assert acme.tables == {"order_stage": {"Released": "Negotiation/Review", "Invoiced": "Closed Won"}}


def test_an_order_flow_carries_its_rules_compiled(tmp_path: Path) -> None:
    orders = read(tmp_path).flows[1]
    assert (orders.left, orders.right, orders.entity, orders.target) == ("erp", "crm", "order", "deal")
    assert orders.where is not None
    assert orders.where({"status": "Released", "total": {"amount": Decimal("12.50")}}) is True
    assert orders.where({"status": "Planned", "total": {"amount": Decimal("12.50")}}) is False
    stage, cost_center = orders.sets
    assert (stage.path, stage.expression({"status": "Invoiced"})) == ("stage", "Closed Won")
    assert cost_center.expression({"extra": {"cost_center": "4711"}}) == "4711"


def test_flows_stand_behind_those_they_run_after(tmp_path: Path) -> None:
    assert [flow.name for flow in read(tmp_path).flows] == ["customers", "orders"]


def test_a_flow_runs_by_period_or_by_cron(tmp_path: Path) -> None:
    customers, orders = read(tmp_path).flows
    assert orders.schedule == Every(timedelta(minutes=15))
    assert customers.schedule == Cron("*/15 6-20 * * 1-5")


def test_a_number_counts_as_true_in_a_condition_even_when_it_is_zero(tmp_path: Path) -> None:
    """JMESPath's truth, not Python's."""
    text = spoilt(("total.amount > `0` && status != 'Planned'", "total.amount"))
    where = read(tmp_path, text).flows[1].where
    assert where is not None
    assert where({"total": {"amount": Decimal(0)}}) is True
    assert where({"total": {}}) is False


def test_a_relative_state_stands_beside_its_file_wherever_the_program_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert read(tmp_path).state == f"sqlite:///{tmp_path.resolve()}/acme.db"
    assert read(tmp_path, spoilt(("sqlite:///acme.db", "sqlite:////var/acme.db"))).state == "sqlite:////var/acme.db"


def test_without_a_state_it_is_kept_in_a_file_named_after_the_workspace(tmp_path: Path) -> None:
    text = spoilt(('state = "sqlite:///acme.db"\n', ""))
    assert read(tmp_path, text).state.endswith("/acme.db")


def test_the_password_of_the_state_is_not_in_a_workspaces_repr(tmp_path: Path) -> None:
    text = spoilt(("sqlite:///acme.db", "postgresql://sync:hunter2@db.acme.example/sync"))
    acme = read(tmp_path, text)
    assert acme.state == "postgresql://sync:hunter2@db.acme.example/sync"
    assert "hunter2" not in repr(acme)


def test_a_decimal_in_a_table_keeps_its_digits(tmp_path: Path) -> None:
    acme = read(tmp_path, GOOD + "\n[tables.rate]\nEUR = 1.10\nUSD = 12345678901234567.89\n")
    assert acme.tables["rate"] == {"EUR": Decimal("1.10"), "USD": Decimal("12345678901234567.89")}


def test_a_setting_without_a_type_gets_the_numbers_of_json(tmp_path: Path) -> None:
    text = spoilt(("read_timeout_s = 2.5", "headers = { weight = 1.5, tags = [2.5] }"))
    settings = read(tmp_path, text).connections["erp"].settings
    assert isinstance(settings, ErpSettings)
    assert settings.headers == {"weight": 1.5, "tags": [2.5]}


def test_plain_http_is_welcome_on_this_machine(tmp_path: Path) -> None:
    text = spoilt(("https://acme.ifs.cloud", "http://127.0.0.1:8123"))
    settings = read(tmp_path, text).connections["erp"].settings
    assert isinstance(settings, ErpSettings)
    assert settings.base_url == "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("status != 'Planned'", "status != 'Blocked'"),
        ("\"lookup('order_stage', status)\"", "\"lookup('order_stage', 'Released')\""),
        ('Released = "Negotiation/Review"', 'Released = "Qualification"'),
        ('as = "deal"\n', 'as = "deal"\nmatch = ["order_number"]\n'),
        ('as = "deal"\n', 'as = "deal"\nfields = ["stage", "amount", "extra.Cost_Center"]\n'),
    ],
)
def test_a_flow_that_writes_something_else_has_another_signature(tmp_path: Path, old: str, new: str) -> None:
    before, after = read(tmp_path).flows[1], read(tmp_path, spoilt((old, new))).flows[1]
    assert before.signature != after.signature


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('every = "15m"', 'every = "1h"'),
        ('as = "deal"\n', 'as = "deal"\ndrift = "restore"\nwrites = "create"\ndeletes = "deactivate"\n'),
        ("[tables.order_stage]", '[tables.unused]\nA = "B"\n[tables.order_stage]'),
        ("[flows.orders]", "# the orders of Acme\n[flows.orders]"),
    ],
)
def test_a_flow_that_only_runs_differently_keeps_its_signature(tmp_path: Path, old: str, new: str) -> None:
    before, after = read(tmp_path).flows[1], read(tmp_path, spoilt((old, new))).flows[1]
    assert before.signature == after.signature


def test_a_directory_holds_a_workspace_per_file(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(GOOD.replace('"acme"', '"bolt"'))
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("no configuration")
    (tmp_path / ".a.toml").write_text("an editor's leftovers")
    assert [workspace.name for workspace in load(tmp_path, SYSTEMS)] == ["acme", "bolt"]


def test_a_file_saved_by_notepad_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "ml-connector.toml").write_text(GOOD, encoding="utf-8-sig")
    assert load(tmp_path / "ml-connector.toml", SYSTEMS)[0].name == "acme"


def test_the_file_named_wins_over_the_environment_and_over_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ML_CONNECTOR_CONFIG", raising=False)
    for name in ("ml-connector.toml", "environment.toml", "named.toml"):
        (tmp_path / name).write_text(GOOD)
    assert find(None) == Path("ml-connector.toml")
    monkeypatch.setenv("ML_CONNECTOR_CONFIG", str(tmp_path / "environment.toml"))
    assert find(None) == tmp_path / "environment.toml"
    assert find(tmp_path / "named.toml") == tmp_path / "named.toml"


def test_who_has_no_file_yet_is_shown_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ML_CONNECTOR_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="ml-connector init FROM TO"):
        find(None)
    with pytest.raises(ConfigError, match=r"gone\.toml is not there"):
        find(Path("gone.toml"))
    monkeypatch.setenv("ML_CONNECTOR_CONFIG", "lost.toml")
    with pytest.raises(ConfigError, match="named by ML_CONNECTOR_CONFIG"):
        find(None)


def test_a_directory_without_files_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*\.toml"):
        load(tmp_path, SYSTEMS)


def test_the_schema_knows_each_systems_settings_and_that_secrets_are_references() -> None:
    schema = json_schema({"zoho-crm": CRM, "ifs-cloud": ERP})
    [connections] = schema["properties"]["connections"]["patternProperties"].values()
    erp, crm = connections["oneOf"]
    assert erp["properties"]["system"] == {"const": "ifs-cloud"}
    assert erp["required"] == ["system", "base_url", "client_secret"]
    assert erp["properties"]["client_secret"]["pattern"] == "^(secret|env|file):.+"
    assert crm["properties"]["channel_ttl"]["pattern"] == "^[0-9]{1,6}[smhd]$"


def test_the_schema_allows_the_keys_of_a_flow_and_no_others() -> None:
    schema = json_schema(SYSTEMS)
    flow = schema["$defs"]["FlowTable"]
    offered = "from to between owner owners entity as match after every cron where set fields writes drift deletes"
    assert sorted(flow["properties"]) == sorted(offered.split(" "))
    assert flow["required"] == ["entity"]
    assert flow["additionalProperties"] is False
