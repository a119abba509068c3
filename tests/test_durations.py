"""Durations are read as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.durations import Age, Duration


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("50ms", "50ms"),
        ("0.05s", "50ms"),
        ("1500ms", "1s500ms"),
        ("90s", "1m30s"),
        ("0.1h", "6m"),
        ("120s", "2m"),
        ("60m", "1h"),
        ("0.000001s", "0.001ms"),
        ("0.000000001ms", "0.000000001ms"),
    ],
)
def test_they_are_shown_in_few_parts(written: str, shown: str) -> None:
    assert str(Duration.parse(written)) == shown


@given(st.floats(1e-6, 8784 * 3600))
def test_what_is_shown_is_the_same_duration(seconds: float) -> None:
    assert Age.parse(str(Age(seconds))) == pytest.approx(seconds, rel=1e-6, abs=1e-12)
