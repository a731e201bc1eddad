"""A tenth system from a package of its own, as others publish theirs: installed by pip, found, and synced with one of ours."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.demo import run_demo

ACORN = Path(__file__).parents[2] / "docs" / "examples" / "acorn"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acorn's wheel in a folder of its own that this process and those of the demo look into."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ACORN)]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(tmp_path / "venv", with_pip=True)
    [wheel], lib = tmp_path.glob("*.whl"), tmp_path / "lib"
    pip = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--target", str(lib), str(wheel)], check=True)
    monkeypatch.syspath_prepend(str(lib))
    monkeypatch.setenv("PYTHONPATH", str(lib))


async def test_a_plugin_that_pip_installed_agrees_with_ifs_after_a_bad_day(
    installed: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert discover().systems["acorn"].title == "Acorn"
    code = await run_demo("acorn", "ifs-cloud", 20, thorough=True)
    told = capfd.readouterr().err
    assert code == 0, told
    outcome = "19 accounts of ifs → 18 accounts of acorn 0 differ, 1 refused"
    assert outcome in " ".join(told.split()), "one customer's name is longer than Acorn takes, and is set aside"
