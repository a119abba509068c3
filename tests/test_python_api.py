"""The names that `import reconciler` promises are there, and the page about them has them all."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import reconciler

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.mark.parametrize("name", reconciler.__all__)
def test_a_public_name_can_be_imported(name: str) -> None:
    assert getattr(reconciler, name) is not None


def test_the_page_has_the_public_names() -> None:
    table = PAGE.read_text().partition("## Public names")[2]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert named == set(reconciler.__all__)


@pytest.mark.parametrize(
    "package", [module.name for module in pkgutil.iter_modules(reconciler.__path__) if module.ispkg]
)
def test_what_a_package_exports_is_there(package: str) -> None:
    module = importlib.import_module(f"reconciler.{package}")
    assert [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []
