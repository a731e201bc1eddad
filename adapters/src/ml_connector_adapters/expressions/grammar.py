"""Text to syntax tree: JMESPath's own parser with two repairs, and mistakes told in words and by character."""

import json
from decimal import Decimal
from typing import Any, Final, TypeAlias

from jmespath.exceptions import EmptyExpressionError, LexerError, ParseError
from jmespath.lexer import Lexer
from jmespath.parser import ParsedResult, Parser

Node: TypeAlias = dict[str, Any]
"""``type`` and, by type, ``value`` and ``children``, as jmespath.ast builds them. Never changed once parsed."""

_DEEPEST: Final = 100
_ABOVE_COMPARISON: Final = Parser.BINDING_POWER["eq"] + 1
_TEXT: Final = "A text stands between single quotes: 'Planned'"
_HINTS: Final = {
    "NUMBER": "A number stands between backticks: `0`",
    "LITERAL": "Something is missing before it, such as == or &&",
    "QUOTED_IDENTIFIER": _TEXT,
}


def parse(text: str) -> Node:
    """The syntax tree. Raises ValueError that says what is wrong and at which character, counted from 1."""
    try:
        tree: Node = _Parser()._do_parse(text)
    except EmptyExpressionError:
        raise ValueError("it is empty") from None
    except LexerError as error:
        raise ValueError(_lexical(text, error)) from None
    except ParseError as error:
        raise ValueError(_syntactical(text, error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _depth(tree) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    return tree


class _Lexer(Lexer):  # type: ignore[misc]
    """Keeps every digit of a number: JMESPath itself would read `0.1` as a float."""

    def _consume_literal(self) -> dict[str, Any]:
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        try:
            value = json.loads(lexeme, parse_float=Decimal, parse_constant=_refuse)
        except ValueError:  # JMESPath once took `Planned` for a text; that was withdrawn (its JEP-12)
            raise LexerError(start, lexeme, f"`{lexeme}` is no JSON value. {_TEXT}") from None
        return {"type": "literal", "value": value, "start": start, "end": self._position}


class _Parser(Parser):  # type: ignore[misc]
    """The parser over our lexer. Its class-wide cache, which holds trees of the other lexer, is passed by."""

    def _parse(self, expression: str) -> Any:
        self._tokens = list(_Lexer().tokenize(expression))
        self._index = 0
        tree = self._expression(binding_power=0)
        if self._current_token() != "eof":
            token = self._lookahead_token(0)
            raise ParseError(token["start"], token["value"], token["type"], "unexpected")
        return ParsedResult(expression, tree).parsed

    def _token_nud_not(self, _: dict[str, Any]) -> Any:
        """``!extra.rush`` is not(extra.rush). JMESPath 1.x reads (not extra).rush, which is null whatever the record says."""
        return {"type": "not_expression", "children": [self._expression(_ABOVE_COMPARISON)]}


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _lexical(text: str, error: LexerError) -> str:
    if text[error.lexer_position : error.lexer_position + 1] == "=":
        return f"a single = at character {error.lexer_position + 1}. Compare with =="
    what = str(error.message)
    if what.startswith("Unclosed"):
        what = f"the quote {what.split()[1]} is never closed"
    elif what.startswith("Unknown token"):
        what = f'"{text[error.lexer_position]}" means nothing here'
    where, stop, hint = what.partition(". ")
    return f"{where} at character {error.lexer_position + 1}{stop}{hint}"


def _syntactical(text: str, error: ParseError) -> str:
    if not text.strip():
        return "it is empty"
    if error.token_value is None or error.token_type == "EOF":
        return f"it ends too early, at character {len(text) + 1}"
    shown = text[error.lex_position :].split(maxsplit=1)[0][:20]
    hint = _HINTS.get(error.token_type or "", "")
    return f'"{shown}" cannot stand at character {error.lex_position + 1}' + (f". {hint}" if hint else "")


def _depth(tree: Node) -> int:
    """Levels of nesting, counted without recursion."""
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, level = waiting.pop()
        deepest = max(deepest, level)
        waiting += [(child, level + 1) for child in node.get("children", ()) if isinstance(child, dict)]
    return deepest
