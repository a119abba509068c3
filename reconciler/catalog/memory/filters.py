"""The part of Milvus's filter language that the Milvus in memory supports."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.core.errors import UnexpectedAnswer

Matches = Callable[[Mapping[str, object]], bool]
"""Return whether a row, given as field name → value, passes the filter."""

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}


def parse_filter(text: str) -> Matches:
    """Parse a filter such as `price >= 10 and shop in ["a", "b"]`; an empty one matches every row.

    Supported are `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`, each between a field and a number, a string or a
    list of them, joined by `and`, `or`, `not` and brackets. A row without the field does not pass a comparison. Raises
    `UnexpectedAnswer`: for anything else, as for a filter that a Milvus server cannot parse.
    """
    if not text.strip():
        return lambda _row: True
    try:
        return _condition(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError) as error:
        raise UnexpectedAnswer(f"cannot parse expression: {text:.100}") from error


def _condition(node: ast.expr) -> Matches:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts, every = [_condition(value) for value in values], isinstance(op, ast.And)
            return lambda row: (all if every else any)(part(row) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _condition(operand)
            return lambda row: not inner(row)
        case ast.Compare(left=ast.Name(id=field), ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            compare, desired = _COMPARISONS[type(op)], ast.literal_eval(right)
            return lambda row: row.get(field) is not None and _compares(compare, row[field], desired)
    raise ValueError(ast.unparse(node))


def _compares(compare: Callable[[Any, Any], bool], value: object, desired: object) -> bool:
    try:
        return compare(value, desired)
    except TypeError:
        raise UnexpectedAnswer(f"cannot compare {value!r:.50} and {desired!r:.50}") from None
