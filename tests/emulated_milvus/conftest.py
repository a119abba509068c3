"""A stage for each test, of the version that its parameter names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.execute import propagation
from tests.emulated_milvus.stage import Stage, staged


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with staged(request.param) as made:
        yield made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody else reads, no read in flight is to be outlasted."""
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.1)
