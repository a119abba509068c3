"""Conditions of pipelines, as far as the shipped ones use them: comparisons, joined by && and ||."""

from __future__ import annotations

import re
from collections.abc import Callable


def holds(condition: str, value: Callable[[str], str]) -> bool:
    """Whether a condition holds.

    Args:
        condition: such as `a.b == 'x' && c != d || e == "y"`.
        value: what stands behind a name.
    """

    def operand(text: str) -> str:
        quoted = re.fullmatch(r"'([^']*)'|\"([^\"]*)\"", text)
        return (quoted[1] or quoted[2] or "") if quoted else value(text)

    def comparison(text: str) -> bool:
        parts = re.fullmatch(r"(\S+) (==|!=) (\S+)", text.strip())
        assert parts, f"this is beyond what the tests understand: {text}"
        same = operand(parts[1]) == operand(parts[3])
        return same if parts[2] == "==" else not same

    return any(all(map(comparison, group.split("&&"))) for group in condition.split("||"))
