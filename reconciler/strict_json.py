"""JSON that means the same to all of its readers."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of one half. Together with its other half it is a character, alone it is no text."""


def loads(content: bytes) -> Any:
    """What a JSON text in UTF-8 says.

    Raises:
        ValueError: it is none; or a key is given twice, a number is not finite, or a string is not text.
    """
    text = content.decode()
    try:
        found = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_each_key_once)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if _HALF_CHARACTER.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _no_constant(text: str) -> float:
    raise ValueError(text)  # NaN and the infinities, which JSON does not have


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key is given twice")
    return found
