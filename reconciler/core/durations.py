"""Durations as Kubernetes and Go write them: `10s`, `1m30s`, `500ms`; and ages: `90d`, `1y`."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

PATTERN = r"([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+"
EXPECTED = "expected a duration such as 10s, 1m30s or 500ms"

_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DAYS = {"d": 1, "w": 7, "y": 365}


class Duration(float):
    """A field with a duration of at most an hour, in seconds; a manifest writes it as text."""

    hours: ClassVar[int] = 1
    schema_format: ClassVar[str] = "go-duration"
    """What a schema calls it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a duration. Raises `ValueError`, see `parse_duration`."""
        return cls(parse_duration(text, hours=cls.hours))

    @classmethod
    def json_schema(cls, variant: str) -> dict[str, Any]:  # noqa: ARG003 - the same for all
        return {
            "type": "string",
            "pattern": f"^{PATTERN}$",
            "maxLength": 32,
            "errorMessage": EXPECTED,
            "format": cls.schema_format,
        }

    def __str__(self) -> str:
        """Write it in as few parts as possible, such as `5m`, `1m30s` or `50ms`."""
        text, rest = "", round(self * 1000, 9)
        for unit in ("h", "m", "s"):
            number, rest = divmod(rest, _UNITS[unit] * 1000)
            text += f"{number:.0f}{unit}" if number else ""
        milliseconds = f"{rest:.9f}".rstrip("0").rstrip(".")
        return text + (f"{milliseconds}ms" if milliseconds != "0" else "")


class LongDuration(Duration):
    """The same for at most a day."""

    hours = 24
    schema_format = "go-duration-24h"


class Age(Duration):
    """The same for at most a year."""

    hours = 366 * 24
    schema_format = "go-duration-1y"


KINDS: tuple[type[Duration], ...] = (Duration, LongDuration, Age)


def own_type(kind: type[Any], value: Any) -> object:
    """Return a value of a type of our own: a hook for `msgspec.convert`. Raises `ValueError`."""
    return kind.parse(value) if issubclass(kind, Duration) else kind(value)


def parse_age(text: str) -> float:
    """Return an age such as `90d` or `1y` in seconds; a year has 365 days.

    Raises:
        ValueError: with a message for the user, where it is none.
    """
    if not (found := re.fullmatch(r"([1-9][0-9]{0,4})([dwy])", text)):
        raise ValueError("expected an age such as 90d, 12w or 1y")
    return int(found[1]) * _DAYS[found[2]] * 86_400.0


def parse_duration(text: str, *, hours: int = 1) -> float:
    """Return a duration in seconds.

    Raises `ValueError`: with a message for the user, where it is no duration, not positive, or too long.
    """
    if not re.fullmatch(PATTERN, text):
        raise ValueError(EXPECTED)
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if not 0 < total <= hours * 3600:
        raise ValueError(f"expected more than 0s and at most {hours}h")
    return total
