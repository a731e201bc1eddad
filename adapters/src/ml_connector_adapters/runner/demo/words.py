"""How the demo says things: counts, ledgers and other commands' answers, in plain words and at the reader's width."""

import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from rich.console import Console

from ml_connector.ports.state import Counts

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
TERMS: Final = Counts.__struct_fields__
MEANT: Final = {
    "unchanged": "both sides held that already",
    "echoed": "our own writes, met again on reading the other side",
    "skipped": "left out by the flow, or settled elsewhere",
    "parked": "waits for a record that has no counterpart yet",
    "rejected": "refused by the vendor or by the configuration; a person has to look",
    "conflicted": "kept moving while it was written; the next run tries again",
    "unknown": "the answer was lost; the next run looks first",
}
STRUCK: Final = {
    "lost_before": "lost on the way there",
    "lost_after": "lost on the way back",
    "status": "answered 429 or 500",
    "garbage": "answered with garbage",
    "expire_tokens": "met with all tokens ended",
}
say: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def show(text: str, *, style: str = "") -> None:
    """Text as it stands; on a terminal, what is longer than a line hangs under its own beginning."""
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        if say.is_terminal and len(line) > say.width:
            line = textwrap.fill(line, say.width, subsequent_indent=indent, break_on_hyphens=False)
        say.print(line, style=style, markup=False)


def plural(kind: str) -> str:
    """``purchase_order`` → "purchase orders"."""
    return f"{kind.replace('_', ' ')}s"


def counted(count: int, kind: str) -> str:
    """``(1, "order")`` → "1 order"."""
    return f"{count:,} {plural(kind) if count != 1 else kind.replace('_', ' ')}"


def listed(parts: Iterable[str]) -> str:
    """ "a, b and c"; "nothing" without any."""
    *most, last = tuple(parts) or ("nothing",)
    return f"{', '.join(most)} and {last}" if most else last


def rows(table: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Lines with columns as wide as their widest cell; those in ``right`` are ranged right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    ranged = set(right)
    return [
        "  " + "  ".join(f"{cell:{'>' if at in ranged else '<'}{widths[at]}}" for at, cell in enumerate(row)).rstrip()
        for row in table
    ]


def grouped(each: Iterable[T], key: Callable[[T], K]) -> list[tuple[K, list[T]]]:
    """Those with the same key together, in the order in which the keys first appear."""
    groups: dict[K, list[T]] = {}
    for one in each:
        groups.setdefault(key(one), []).append(one)
    return list(groups.items())


def sum_of(counts: Mapping[str, int]) -> str:
    """What was read, and in which columns of the ledger it ended: "1,500 read = 1,000 written + 500 echoed"."""
    ended = " + ".join(f"{counts[term]:,} {term}" for term in TERMS[1:] if counts[term])
    return f"{counts['read']:,} read{f' = {ended}' if ended else ''}"


def fit_for_it(name: str, report: Mapping[str, Any]) -> list[str]:
    """What ``ping --json`` says of one connection: what it complains of, what it created, and how much else is in order."""
    news = [each for each in report["findings"] if each["level"] != "ok" or each["what"].startswith("created ")]
    told = [
        f"  {name}: {'' if each['level'] == 'ok' else each['level'] + ': '}{each['what']}. {each['fix']}".removesuffix(" ")
        for each in news
    ]
    rest = len(report["findings"]) - len(news)
    verdict = "fit" if report["fit"] else "not fit"
    return [*told, f"  {name}: {verdict}; {'the other ' if news else ''}{counted(rest, 'finding')} in order"]
