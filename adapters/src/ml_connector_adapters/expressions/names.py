"""Which fields and tables an expression names, told from its syntax tree, because a misspelt path silently gives null."""

from typing import Final, TypeAlias

from ml_connector_adapters.expressions.grammar import Node, parse

Place: TypeAlias = tuple[str, bool] | None
"""Where a value comes from: its path ("" is the record), and whether it is a list of what stands there. None: computed."""

_CHAINS: Final = ("subexpression", "index_expression", "pipe")


def paths_of(text: str) -> set[str]:
    """Dotted paths of all fields an expression uses; an element of a list is written ``lines[].net``. Raises ValueError."""
    walk = _Walk()
    walk.use(parse(text), ("", False))
    return walk.paths


def tables_of(text: str) -> set[str]:
    """Names of all tables that an expression looks into. Raises ValueError when a name is not written out."""
    return {table_name(node) for node in nodes_of(parse(text)) if _is_lookup(node)}


def nodes_of(tree: Node) -> list[Node]:
    """The tree's nodes, outer before inner."""
    inner = [child for child in tree.get("children", ()) if isinstance(child, dict)]
    return [tree, *(node for child in inner for node in nodes_of(child))]


def table_name(call: Node) -> str:
    """The table of a call of lookup. Raises ValueError when it is computed: it could not be checked beforehand."""
    first = call["children"][0] if call["children"] else None
    if first is None or first["type"] != "literal" or not isinstance(first["value"], str):
        raise ValueError("lookup() takes the table's name between single quotes: lookup('order_stage', status)")
    return first["value"]


def _is_lookup(node: Node) -> bool:
    return bool(node["type"] == "function_expression" and node["value"] == "lookup")


class _Walk:
    """Follows where values come from and collects the longest path of each."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def use(self, node: Node, place: Place) -> Place:
        """Walk a node whose value is used as it is."""
        found = self.follow(node, place)
        if found is not None and found[0]:
            self.paths.add(found[0].removesuffix("[]"))
        return found

    def follow(self, node: Node, place: Place) -> Place:
        """Walk a node over the value at ``place``; where its own value comes from."""
        kind, inner = node["type"], node.get("children", ())
        if kind in ("identity", "current", "slice"):
            return place
        if kind == "field":
            return None if place is None else (f"{place[0]}.{node['value']}".lstrip("."), False)
        if kind in _CHAINS:
            for child in inner:
                place = self.follow(child, place)
            return place
        if kind == "index":
            return _element(place)
        if kind == "flatten":
            return self.follow(inner[0], place)
        if kind in ("projection", "filter_projection"):
            element = _element(self.follow(inner[0], place))
            if kind == "filter_projection":
                self.use(inner[2], element)
            found = self.follow(inner[1], element)
            return None if found is None else (found[0], True)
        if kind == "value_projection":
            self.use(inner[0], place)
            self.use(inner[1], None)
        elif kind == "function_expression":
            self._call(inner, place)
        else:
            for child in inner:
                self.use(child, place)
        return None

    def _call(self, arguments: list[Node], place: Place) -> None:
        """An expression passed along (``&net``) is about the elements of the list that is passed beside it."""
        found = [self.use(child, place) for child in arguments if child["type"] != "expref"]
        element = _element(found[0]) if found else None
        for child in arguments:
            if child["type"] == "expref":
                self.use(child["children"][0], element)


def _element(place: Place) -> Place:
    if place is None:
        return None
    path, is_list = place
    return (path, False) if is_list else (f"{path}[]", False)
