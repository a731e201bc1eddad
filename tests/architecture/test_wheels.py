"""What pip installs: a plugin's wheel is found in a clean environment, and its absence is told in words."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = {"core": "ml_connector_core", "adapters": "ml_connector", "plugins/ifs-cloud": "ml_connector_ifs_cloud"}
CONFIG = """
[workspace]
name = "acme"
[connections.ifs]
system = "ifs-cloud"
base_url = "https://acme.ifs.cloud"
realm = "acmeprod"
client_id = "ML_CONNECTOR"
client_secret = "secret:ifs/client_secret"
"""


class Site:
    """A virtual environment with the libraries of this one, and nothing of ours but what is installed from wheels."""

    def __init__(self, home: Path) -> None:
        self.home, self.bin = home, home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        venv.create(home / "venv", with_pip=True)
        libraries = home / "libraries"
        libraries.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.startswith(("ml_connector", "__editable__", "pip")) and entry.suffix != ".pth":
                (libraries / entry.name).symlink_to(entry)
        purelib = sysconfig.get_path("purelib", "venv", vars={"base": str(home / "venv")})
        (Path(purelib) / "libraries.pth").write_text(f"{libraries}\n")

    def install(self, *wheels: Path) -> None:
        quietly = ["--no-deps", "--no-index", "--disable-pip-version-check", "-q"]
        subprocess.run([self.bin / "python", "-m", "pip", "install", *quietly, *wheels], check=True)

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.bin / "ml-connector", *arguments], cwd=self.home, input=stdin, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each part."""
    out = tmp_path_factory.mktemp("wheels")
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT / part],
            stdout=subprocess.DEVNULL,
        )
        for part in PARTS
    ]
    assert [build.wait() for build in builds] == [0] * len(PARTS)
    return {part: next(out.glob(f"{name}-[0-9]*.whl")) for part, name in PARTS.items()}


def test_a_plugins_wheel_is_found_once_it_is_installed_and_its_absence_says_how(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    site = Site(tmp_path)
    (tmp_path / "ml-connector.toml").write_text(CONFIG)
    site.install(wheels["core"], wheels["adapters"])
    told = site.run("systems")
    assert (told.returncode, "no plugin is installed; pip install ml-connector-ifs-cloud" in told.stderr) == (0, True)
    told = site.run("check")
    assert told.returncode == 2
    assert '"ifs-cloud" is not installed. Run: pip install ml-connector-ifs-cloud' in told.stderr

    site.install(wheels["plugins/ifs-cloud"])
    told = site.run("systems")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[1].split()[:3] == ["ifs-cloud", "account,", "order,"]
    assert told.stdout.rstrip().endswith("zoho-crm")  # the recipe travels in the wheel
    assert site.run("check").stdout == "acme: 1 connections, 0 flows, no mistakes\n"
    assert site.run("secrets", "set", "ifs/client_secret", stdin="s3cret").returncode == 0  # so do the migrations
    told = site.run("init", "ifs-cloud", "zoho-crm", "--config", "other.toml")
    assert (told.returncode, "pip install ml-connector-zoho-crm" in told.stderr) == (2, True)
