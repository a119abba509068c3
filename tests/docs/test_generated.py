"""What is generated from the code is what the repository holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.core.reasons import Reason
from reconciler.generate import published
from tests.reasons import OPERATOR_ONLY

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("path", "text"), [pytest.param(path, text, id=path) for path, text in published()])
def test_generated_files_are_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text() == text, "run `make schemas`"


def test_nothing_else_lies_in_the_generated_folders() -> None:
    folders = (ROOT / "schemas", ROOT / "crds", ROOT / "docs" / "reference")
    generated = {path for path, _ in published() if (ROOT / path).parent in folders}
    held = {str(path.relative_to(ROOT)) for folder in folders for path in folder.iterdir()}
    assert held == generated


def test_the_page_on_gitops_names_every_reason_of_the_agent() -> None:
    page = (ROOT / "docs" / "gitops.md").read_text()
    table = page.partition("## Troubleshooting")[2].partition("\n\nTo go back")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Reason) - OPERATOR_ONLY
