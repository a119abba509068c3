"""JSON that every reader interprets alike: strict reading, one-line writing, digests."""

from __future__ import annotations

import math
import re
from typing import Any

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of a lone surrogate, or of half of a pair. A pair is one character; a lone one is not valid text."""


def loads(content: bytes) -> Any:
    """Decode a JSON text in UTF-8.

    Raises `ValueError`: it is none; or a key is given twice, a number is not finite, or a string is not text.
    """
    import json  # takes 1 ms; a validation needs none

    text = content.decode()
    try:
        found = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_each_key_once)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if _HALF_CHARACTER.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def dumps(document: object) -> str:
    """Encode a document as one line of ASCII that `loads` accepts (see `whole_characters`)."""
    import json

    text = json.dumps(document, separators=(",", ":"))
    if not _HALF_CHARACTER.search(text):
        return text
    whole = json.loads(whole_characters(json.dumps(document, ensure_ascii=False)))
    return json.dumps(whole, separators=(",", ":"))


def digest_of(content: object, *, separators: tuple[str, str] = (",", ":")) -> str:
    """Return the SHA-256 of a value's canonical JSON, as `sha256:` and 64 hexadecimal digits.

    `separators`: between items, and between a key and its value; digests that were published keep theirs.
    """
    import hashlib  # takes 3 ms to load OpenSSL
    import json

    canonical = json.dumps(content, sort_keys=True, separators=separators)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def without_none(**fields: object) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def whole_characters(text: str) -> str:
    """Replace each lone surrogate in a text.

    Python has such halves in the names of files that are not UTF-8, and from JSON of others. UTF-8 cannot hold them.
    """
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


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
