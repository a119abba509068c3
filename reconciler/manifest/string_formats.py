"""The formats of strings that the schemas name, each with the check behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from reconciler.catalog.address import normalise
from reconciler.core.durations import KINDS


def complaint(name: str, value: object) -> str | None:
    """Return what is wrong with a value in a format; None where nothing is, or where it is no string."""
    if not isinstance(value, str):
        return None
    try:
        _PARSERS[name](value)
    except ValueError as error:
        return str(error)
    return None


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "milvus-uri": lambda text: normalise(text, Path()),
    **{kind.schema_format: kind.parse for kind in KINDS},
}


def _holds(name: str, value: object) -> bool:
    return complaint(name, value) is None


CHECKS: Mapping[str, Callable[[object], bool]] = {name: partial(_holds, name) for name in _PARSERS}
"""For a validator: whether a value has the format."""
