"""The manual names every command, key, field and setting there is, and its examples give what it says."""

import json
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from cyclopts import App

from ml_connector.domain import ENTITIES, Line
from ml_connector_adapters.config import load
from ml_connector_adapters.config.file import WorkspaceTable
from ml_connector_adapters.config.flows import FlowTable
from ml_connector_adapters.expressions import compile_expression
from ml_connector_adapters.expressions.functions import Pack
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.cli.app import app

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
CLI = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
TOLD_AS_ONE = {"history"}
"""Tables of assumed names that a README explains in a sentence instead of name by name."""
PLUGINS = {name: ROOT / "plugins" / name for name in ("ifs-cloud", "oracle-fusion", "qad", "zoho-crm")}


def commands(of: App, path: str = "") -> Iterator[tuple[str, App]]:
    """Every command that does something, as people type it."""
    for name in of:
        if name.startswith("-"):
            continue
        inner, whole = of[name], f"{path}{name}"
        if any(not each.startswith("-") for each in inner):
            yield from commands(inner, f"{whole} ")
        else:
            yield whole, inner


def block(text: str, language: str, at: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[at]  # type: ignore[no-any-return]


def settings(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Names of a plugin's settings, those of the tables inside among them."""
    for field in msgspec.structs.fields(kind):
        yield field.encode_name
        for inner in (field.type, *get_args(field.type)):
            if field.encode_name not in TOLD_AS_ONE and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from settings(inner)


def section(heading: str) -> str:
    return CONFIGURATION.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_every_command_has_its_section() -> None:
    headings = re.findall(r"^### `([a-z ]+?)(?: [A-Z\[].*)?`$", CLI, re.MULTILINE)
    assert sorted(headings) == sorted(name for name, _ in commands(app))


def test_every_option_of_every_command_is_named() -> None:
    told = set(re.findall(r"--[a-z-]+", CLI))
    options = {
        name
        for _, command in commands(app)
        for argument in command.assemble_argument_collection()
        for name in argument.names
        if name.startswith("--") and not name.startswith(("--no-", "--help"))
    }
    assert sorted(options - told) == []


@pytest.mark.parametrize(("heading", "table"), [("`[workspace]`", WorkspaceTable), ("`[flows.NAME]`", FlowTable)])
def test_every_key_of_the_file_has_its_row(heading: str, table: type[msgspec.Struct]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(heading), re.MULTILINE)
    assert sorted(rows) == sorted(field.encode_name for field in msgspec.structs.fields(table))


def test_every_field_of_every_kind_is_named() -> None:
    common = {"number", "name", "description", "extra"}
    for kind, entity in ENTITIES.items():
        [row] = re.findall(rf"^\| `{kind}` \| (.*) \|$", section("Fields"), re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == set(entity.__struct_fields__) - common
    assert [name for name in Line.__struct_fields__ if f"`{name}`" not in section("Fields")] == []


def test_every_function_of_expressions_is_named() -> None:
    assert [name for name in Pack.FUNCTION_TABLE if not re.search(rf"\b{name}\b", section("Expressions"))] == []


@pytest.mark.parametrize("example", block(CONFIGURATION, "jmespath").splitlines())
def test_every_expression_gives_what_the_manual_says(example: str) -> None:
    text, _, told = example.partition("→")
    order = json.loads(block(CONFIGURATION, "json"), parse_float=Decimal)
    found: Any = compile_expression(text.strip(), {"order_stage": {"Released": "Negotiation/Review"}})(order)
    assert found == json.loads(told, parse_float=Decimal)


def test_the_manuals_configuration_has_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "ml-connector.toml"
    file.write_text(block(CONFIGURATION, "toml"), encoding="utf-8")
    [workspace] = load(file, discover().systems)
    assert [flow.name for flow in workspace.flows] == ["customers", "orders"]


@pytest.mark.parametrize("system", PLUGINS)
def test_every_setting_of_a_plugin_is_in_its_readme(system: str) -> None:
    readme = (PLUGINS[system] / "README.md").read_text(encoding="utf-8")
    names = set(settings(discover().systems[system].settings))
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", readme)) == []


def test_the_code_shown_of_acorn_is_acorns() -> None:
    guide = (
        (ROOT / "docs/writing-a-plugin.md").read_text(encoding="utf-8").partition("## Acorn, whole")[2].partition("\n## ")[0]
    )
    source = (ROOT / "docs/examples/acorn/src/ml_connector_acorn/adapters.py").read_text(encoding="utf-8")
    lines = {line.strip() for line in source.splitlines()}
    shown = [line.strip() for at in (0, 1) for line in block(guide, "python", at).splitlines()]
    assert [line for line in shown if line not in lines] == []


def test_acorns_project_offers_its_plugin() -> None:
    project = tomllib.loads((ROOT / "docs/examples/acorn/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["ml_connector"] == {"acorn": "ml_connector_acorn.plugin"}


@pytest.mark.parametrize(
    "page", sorted([ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]), ids=lambda page: page.name
)
def test_every_link_within_the_manual_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for path, anchor in links:
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.*)$", goal.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor[1:] in slugs, anchor
