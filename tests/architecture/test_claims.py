"""Claims in the documents that the code must keep true."""

import inspect
from pathlib import Path

import ml_connector.errors
import ml_connector.ports
from ml_connector.errors import ConnectorError

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
