"""A first load's proposals as a CSV file, for people and their spreadsheets."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from ml_connector.errors import ConfigError
from ml_connector.use_cases.match_first_load import Decision, Proposal

COLUMNS: Final = ("decision", "left_id", "right_id", "number", "name", "fit", "evidence", "candidates")
DECISIONS: Final = get_args(Decision)


def write_proposals(path: Path, proposals: Iterable[Proposal]) -> None:
    """One row each, under a heading. Readable by its owner alone, since it names customers."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for each in proposals:
            told = (each.decision, each.left_id or "", each.right_id or "", each.number, each.name, each.fit, each.evidence)
            rows.writerow([*map(_harmless, told), " ".join(each.candidates)])


def _harmless(text: str) -> str:
    """A name that begins like a formula is no formula: spreadsheets take it for one."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _meant(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def read_proposals(path: Path) -> list[tuple[str, Proposal]]:
    """The rows with their places ("line 7"). Raises ConfigError with every mistake of the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"The file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError:
        raise ConfigError("The file is no UTF-8 text", fix="Save it as CSV in UTF-8", where=str(path)) from None
    first = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(keepends=True), delimiter=";" if first.count(";") > first.count(",") else ",")
    if missing := [name for name in COLUMNS[:3] if name not in (rows.fieldnames or ())]:
        raise ConfigError(
            f"The first line must name the columns; {', '.join(missing)} is missing",
            fix="Start from: ml-connector match FLOW --out FILE",
            where=str(path),
        )
    found: list[tuple[str, Proposal]] = []
    mistakes: list[str] = []
    for row in rows:
        place, decision = f"{path.name} line {rows.line_num}", (row["decision"] or "").strip().lower()
        if decision not in DECISIONS:
            allowed = ", ".join(word for word in DECISIONS if word)
            mistakes.append(f'{place}: decision "{decision[:30]}" is not known. Write {allowed}, or leave it empty')
            continue
        left, right = (_meant((row[name] or "").strip()) or None for name in ("left_id", "right_id"))
        found.append(
            (
                place,
                Proposal(
                    decision=decision,  # type: ignore[arg-type]
                    left_id=left,
                    right_id=right,
                    number=_meant(row.get("number") or ""),
                    name=_meant(row.get("name") or ""),
                    fit="one",
                    evidence=_meant(row.get("evidence") or "") or "named in a reviewed file",
                ),
            )
        )
    if mistakes:
        raise ConfigError(mistakes[0], mistakes=tuple(mistakes))
    return found
