"""README's table of systems and their abilities is what the installed plugins say.

``python tests/architecture/test_abilities.py`` prints what belongs between the two marks.
"""

from collections.abc import Iterable
from pathlib import Path

from ml_connector.domain import ENTITIES
from ml_connector.system import SystemSpec
from ml_connector_adapters.plugins import discover

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- abilities -->", "<!-- /abilities -->"
OURS = ("dynamics365-sales", "ifs-cloud", "oracle-fusion", "pipedrive", "qad", "zoho-crm")
"""Systems of this repository; whatever else is installed beside them is not the README's business."""


def abilities(systems: Iterable[SystemSpec]) -> str:
    """Two Markdown tables: systems × kinds, and what else each system brings."""
    systems = list(systems)
    rows = ["| system | kind | reads | writes |", "|---|---|---|---|"]
    for spec in systems:
        kinds = [kind for kind in ENTITIES if kind in spec.reads or kind in spec.writes]
        for kind in kinds:
            name = f"**{spec.title}** (`{spec.name}`)" if kind == kinds[0] else ""
            rows.append(f"| {name} | {kind} | {_tick(kind in spec.reads)} | {_tick(kind in spec.writes)} |")
    rows += ["", "| system | notices | twin | recipes |", "|---|---|---|---|"]
    for spec in systems:
        recipes = ", ".join(f"`{other}`" for other in sorted(spec.recipes))
        rows.append(f"| **{spec.title}** | {_tick(spec.notices)} | {_tick(spec.twin is not None)} | {recipes or '–'} |")
    return "\n".join(rows)


def _tick(able: bool) -> str:
    return "✓" if able else "–"


def block() -> str:
    found = discover().systems
    return f"{BEGIN}\n{abilities(found[name] for name in OURS)}\n{END}"


def test_the_readmes_table_of_abilities_is_what_the_plugins_say() -> None:
    readme = README.read_text(encoding="utf-8")
    stands = readme[readme.index(BEGIN) : readme.index(END) + len(END)]
    assert stands == block(), "print it anew with: python tests/architecture/test_abilities.py"


def test_every_ability_in_the_table_is_one_that_a_connection_has() -> None:
    assert all(kind in ENTITIES for spec in discover().systems.values() for kind in (*spec.reads, *spec.writes))


if __name__ == "__main__":
    print(block())
