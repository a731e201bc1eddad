"""Small courtesies in messages."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """'. Did you mean "x"?' when something known is close, else the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'. Did you mean "{close[0]}"?'
    return f". There are: {', '.join(names)}" if names else ""
