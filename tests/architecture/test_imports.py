"""The core imports the standard library, msgspec and pluggy, nothing else; checked on the text, without importing anything."""

import ast
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core/src/ml_connector"
ALLOWED = {"msgspec", "pluggy", "ml_connector", *sys.stdlib_module_names}


@pytest.mark.parametrize("module", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_stays_pure(module: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imported.add(node.module.partition(".")[0])
    assert imported <= ALLOWED
