"""Claims in the documents that the code must keep true."""

import inspect
import re
from pathlib import Path

import ml_connector.errors
import ml_connector.ports
from ml_connector.errors import ConnectorError
from ml_connector_adapters.config import load
from ml_connector_adapters.plugins import discover

ROOT = Path(__file__).parents[2]


def public_errors() -> list[str]:
    found = vars(ml_connector.errors).values()
    return [
        each.__name__
        for each in found
        if inspect.isclass(each) and issubclass(each, ConnectorError) and each is not ConnectorError
    ]


def test_every_error_is_explained_in_the_manual() -> None:
    manual = (ROOT / "docs/errors.md").read_text()
    assert [name for name in public_errors() if f"## {name}" not in manual] == []


def test_the_manual_explains_no_error_that_does_not_exist() -> None:
    headings = [
        line.removeprefix("## ") for line in (ROOT / "docs/errors.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert sorted(headings) == sorted(public_errors())


def test_every_error_says_in_its_docstring_what_happens_next() -> None:
    classes = [getattr(ml_connector.errors, name) for name in public_errors()]
    assert [each.__name__ for each in classes if not each.__doc__ or len(each.__doc__) < 30] == []


ZOHO = """
[connections.{name}]
system = "zoho-crm"
client_id = "1000.ABC"
client_secret = "env:SECRET"
refresh_token = "env:REFRESH"
"""


def test_the_readmes_configurations_have_no_mistake(tmp_path: Path) -> None:
    one_way, two_way = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "ml-connector.toml"
    file.write_text('[workspace]\nname = "acme"\n' + one_way)
    [workspace] = load(file, discover().systems)
    assert [flow.name for flow in workspace.flows] == ["customers", "orders"]
    file.write_text('[workspace]\nname = "acme"\n' + ZOHO.format(name="erp") + ZOHO.format(name="crm") + two_way)
    [workspace] = load(file, discover().systems)
    assert [flow.two_way for flow in workspace.flows] == [True]


def test_every_recipe_that_ships_has_no_mistake(tmp_path: Path) -> None:
    found = discover().systems
    recipes = {(spec.name, other): text for spec in found.values() for other, text in spec.recipes.items() if other in found}
    for (name, other), text in recipes.items():
        file = tmp_path / f"{name}-{other}.toml"
        file.write_text(text)
        load(file, found)
    assert ("ifs-cloud", "zoho-crm") in recipes
