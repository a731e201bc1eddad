"""The file and what is installed: every mistake at once, in words, before anything is called."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

MISTAKEN = """
[workspace]
name = "acme"
colour = "blue"

[connections.ifs]
system = "ifs-cloud"
base_url = "https://acme.ifs.cloud"
relm = "acmeprod"
client_id = "ML_CONNECTOR"
client_secret = "hunter2-written-out"

[connections.zoho]
system = "zoho-cmr"

[flows.customers]
from = "ifs"
to = "ifs"
entity = "acount"
every = "often"
"""


def test_five_mistakes_are_told_at_once_with_their_paths(acme):
    acme.config.write_text(MISTAKEN)
    told = acme.run("check")
    assert (told.code, told.out) == (2, "")
    for path, word in {
        "workspace.colour": "unknown setting",
        "connections.ifs.relm": 'Did you mean "realm"?',
        "connections.ifs.client_secret": "never written out",
        "connections.zoho.system": 'Did you mean "zoho-crm"?',
        "flows.customers.entity": 'Did you mean "account"?',
        "flows.customers.every": '"often"',
    }.items():
        assert any(line.startswith(path) and word in line for line in told.err.splitlines()), (path, told.err)
    assert "hunter2" not in told.err


def test_both_ways_over_a_system_that_only_reads_is_told_with_the_way_out(acme):
    acme.rewrite(
        'from = "ifs"\nto = "zoho"\nentity = "account"', 'between = ["ifs", "zoho"]\nowner = "ifs"\nentity = "product"'
    )
    told = acme.run("check")
    assert (told.code, told.out) == (2, "")
    assert told.err == (
        "flows.customers.between: ifs-cloud reads product but does not write it. "
        'Make it a one-way flow: from = "ifs", to = "zoho"\n'
    )


@pytest.mark.parametrize(
    "words",
    [("check",), ("sync",), ("status",), ("run",), ("ping",), ("failures", "list"), ("secrets", "list"), ("db", "status")],
)
def test_no_command_goes_on_with_a_wrong_file(acme, words):
    acme.rewrite('entity = "account"', 'entity = "acount"')
    told = acme.run(*words)
    assert told.code == 2
    assert told.err.startswith("flows.customers.entity: ")
    assert acme.ifs.calls == acme.zoho.calls == []


def test_a_missing_file_says_how_to_get_one(acme):
    acme.config.unlink()
    told = acme.run("check")
    assert told.code == 2
    assert "ml-connector init" in told.err


def test_a_file_that_is_no_toml_names_the_line(acme):
    acme.config.write_text("[workspace]\nname = acme\n")
    told = acme.run("check")
    assert told.code == 2
    assert "line 2" in told.err


def test_init_writes_a_file_that_passes_the_check_and_refuses_to_overwrite_one(acme):
    acme.config.unlink()
    assert acme.run("init", "ifs-cloud", "zoho-crm").code == 0
    assert acme.run("check").out == "acme: 2 connections, 2 flows, no mistakes\n"
    acme.rewrite('realm = "acmeprod"', 'realm = "acmetest"')
    assert acme.run("check").code == 0
    again = acme.run("init", "ifs-cloud", "zoho-crm")
    assert (again.code, "--force" in again.err) == (2, True)
    assert "acmetest" in acme.config.read_text()
    assert acme.run("init", "ifs-cloud", "zoho-crm", "--force").code == 0
    assert "acmeprod" in acme.config.read_text()


@pytest.mark.parametrize("pair", [("ifs-cloud", "sap"), ("zoho-crm", "zoho-crm")])
def test_init_says_what_it_cannot_write_a_file_for(acme, pair):
    acme.config.unlink()
    told = acme.run("init", *pair)
    assert told.code == 2
    assert pair[0] in told.err or pair[1] in told.err
    assert not acme.config.exists()


def test_a_folder_of_files_is_many_workspaces_each_checked(acme):
    folder = acme.home / "conf.d"
    folder.mkdir()
    for name in ("acme", "borg"):
        (folder / f"{name}.toml").write_text(acme.config.read_text().replace('"acme"', f'"{name}"'))
    assert acme.run("check", "--config", "conf.d").out.splitlines() == [
        f"{name}: 2 connections, 2 flows, no mistakes" for name in ("acme", "borg")
    ]
    told = acme.run("status", "--config", "conf.d")
    assert (told.code, "acme, borg" in told.err) == (2, True)


def test_the_schema_for_editors_knows_the_plugins_settings(acme):
    schema = acme.run("schema").json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "realm" in json.dumps(schema)
    assert "accounts_server" in json.dumps(schema)


OURS = ["dynamics365-sales", "ifs-cloud", "oracle-fusion", "pipedrive", "qad", "zoho-crm"]


def test_systems_lists_what_is_installed_and_why_a_plugin_is_not(acme):
    told = acme.run("systems")
    assert (told.code, told.err) == (0, "")
    assert [line.split()[0] for line in told.out.splitlines()] == ["system", *OURS]
    site = acme.home / "site"
    install(site, "acme-broken", "import no_such_module\n")
    broken = acme.start("systems", "--json", PYTHONPATH=str(site))
    out, err = broken.communicate()
    assert broken.returncode == 1
    assert err == "acme-broken (acme-broken) failed to load: ModuleNotFoundError: No module named 'no_such_module'\n"
    assert [system["name"] for system in json.loads(out)["systems"]] == OURS


def test_a_broken_plugin_stops_no_flow_of_the_others(acme):
    acme.customer()
    install(acme.home / "site", "acme-broken", "raise SystemExit(3)\n")
    process = acme.start("sync", PYTHONPATH=str(acme.home / "site"))
    process.communicate()
    assert process.returncode == 0
    assert acme.held()["C-100"]


def test_a_secret_may_live_in_the_environment_or_in_a_file(make_acme, monkeypatch):
    acme = make_acme(secrets=False)
    values = {**acme.ifs.secrets(), **acme.zoho.secrets()}
    monkeypatch.setenv("IFS_SECRET", values["twin/ifs_client_secret"])
    acme.rewrite("secret:twin/ifs_client_secret", "env:IFS_SECRET")
    for name in ("zoho_client_secret", "zoho_refresh_token"):
        (acme.home / name).write_text(values[f"twin/{name}"] + "\n")
        acme.rewrite(f"secret:twin/{name}", f"file:{acme.home / name}")
    acme.customer()
    assert acme.sync("customers")["customers"]["written"] == 1


def install(site: Path, distribution: str, body: str) -> None:
    """A distribution with an entry point, as pip would leave it in a folder."""
    module = distribution.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(dedent(body))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ml_connector]\n{distribution} = {module}\n")


def test_help_imports_nothing_heavy():
    """Time depends on the machine; what is imported does not."""
    code = """
    import sys
    from ml_connector_adapters.runner.cli.app import main
    try:
        main(["--help"])
    except SystemExit:
        pass
    heavy = {"sqlalchemy", "sqlmodel", "httpx", "opentelemetry", "jmespath", "starlette", "uvicorn", "cryptography"}
    print(*sorted(heavy & sys.modules.keys()), file=sys.stderr)
    """
    told = subprocess.run(
        [sys.executable, "-c", dedent(code)], capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}
    )
    assert told.stderr == "\n"
    assert "explain order 10042 amount  who changed this, when, why" in told.stdout
