"""Plugins are found one by one; what is wrong with one is told and costs the others nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from ml_connector_adapters.plugins import Discovery, Failure, discover

SPEC = """
import msgspec
from ml_connector import Connection, Host, SystemSpec, hookimpl

class Settings(msgspec.Struct):
    base_url: str

def connect(settings: Settings, host: Host) -> Connection:
    raise AssertionError

def spec(name: str, **others: object) -> SystemSpec:
    return SystemSpec(**{"name": name, "title": name, "settings": Settings, "connect": connect, **others})
"""


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, body: str, *, entry: str | None = None) -> None:
        module = f"{distribution.replace('-', '_')}_plugin"
        (self.folder / f"{module}.py").write_text(SPEC + dedent(body))
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ml_connector]\n{entry or distribution} = {module}\n")

    def found(self) -> Discovery:
        """What is discovered, less what the machine has installed."""
        told = discover()
        ours = {name: spec for name, spec in told.systems.items() if name.startswith("acme")}
        return Discovery(
            systems=ours, failures=tuple(failure for failure in told.failures if failure.distribution.startswith("acme"))
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("ML_CONNECTOR_PLUGIN_TRACEBACK", raising=False)
    yield Site(tmp_path)
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


GOOD = """
@hookimpl
def ml_connector_systems():
    return [spec("acme-erp", reads=("account",)), spec("acme-crm")]
"""


def offering(expression: str) -> str:
    return f"@hookimpl\ndef ml_connector_systems():\n    return {expression}\n"


def test_a_distribution_offers_its_systems_by_name(site: Site) -> None:
    site.install("acme-suite", GOOD)
    found = site.found()
    assert list(found.systems) == ["acme-crm", "acme-erp"]
    assert found.systems["acme-erp"].reads == ("account",)
    assert found.failures == ()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("@hookimpl\ndef ml_connector_system():\n    return []\n", "unknown hook 'ml_connector_system'"),
        ("@hookimpl\ndef ml_connector_systems(extra):\n    return []\n", "extra"),
        ("def ml_connector_systems():\n    return [spec('acme-bad')]\n", "marked with @hookimpl"),
        (offering("1 / 0"), "ZeroDivisionError: division by zero"),
        (offering("spec('acme-bad')"), "returned SystemSpec, not a list"),
        (offering("['acme-bad']"), "listed str, not SystemSpec"),
        (offering("[spec('Acme Bad')]"), "'Acme Bad' cannot name a system"),
        (offering("[spec('acme-bad', settings=dict)]"), 'the settings of "acme-bad" are no msgspec.Struct'),
        (offering("[spec('acme-bad', connect=None)]"), 'connect of "acme-bad" cannot be called'),
        (
            offering("[spec('acme-bad', api_version=2)]"),
            "was made for plugin API 2, and this program speaks 1. Upgrade ml-connector",
        ),
        (
            offering("[spec('acme-bad', api_version=0)]"),
            "was made for plugin API 0, and this program speaks 1. Upgrade the plugin",
        ),
    ],
)
def test_a_broken_plugin_is_told_and_the_others_go_on(site: Site, body: str, told: str) -> None:
    site.install("acme-broken", body, entry="bad")
    site.install("acme-suite", GOOD)
    found = site.found()
    [(entry, distribution, reason)] = found.failures
    assert (entry, distribution) == ("bad", "acme-broken")
    assert told in reason
    assert list(found.systems) == ["acme-crm", "acme-erp"]


def test_a_second_claim_on_a_name_is_told_and_the_first_stays(site: Site) -> None:
    site.install("acme-second", offering("[spec('acme-erp', title='Copy'), spec('acme-desk')]"))
    site.install("acme-first", GOOD)
    found = site.found()
    assert found.systems["acme-erp"].title == "acme-erp"
    assert "acme-desk" in found.systems
    assert found.failures == (
        Failure("acme-second", "acme-second", '"acme-erp" is already offered by acme-first. Uninstall one of the two'),
    )


def test_an_author_can_ask_for_the_traceback(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-broken", offering("1 / 0"))
    assert "Traceback" not in site.found().failures[0].reason
    monkeypatch.setenv("ML_CONNECTOR_PLUGIN_TRACEBACK", "1")
    assert "acme_broken_plugin.py" in site.found().failures[0].reason


@pytest.mark.parametrize("module", ["plugins", "config", "expressions"])
def test_nothing_heavy_is_imported_before_it_is_needed(module: str) -> None:
    heavy = {"httpx", "sqlalchemy", "sqlmodel", "opentelemetry", "croniter", "dependency_injector", "starlette"}
    code = f"import sys, ml_connector_adapters.{module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
