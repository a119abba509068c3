"""What is generated from the code is what the repository holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.publish import published

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("path", "text"), [pytest.param(path, text, id=path) for path, text in published()])
def test_generated_files_are_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text() == text, "run `make schemas`"


def test_nothing_else_lies_in_the_generated_folders() -> None:
    generated = {path for path, _ in published()}
    folders = (ROOT / "schemas", ROOT / "crds", ROOT / "docs" / "reference")
    held = {str(path.relative_to(ROOT)) for folder in folders for path in folder.iterdir()}
    assert held == generated
