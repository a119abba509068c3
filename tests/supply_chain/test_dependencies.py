"""Every dependency is used, every one that is used is declared, and docs/dependencies.md gives the reason for each."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("lite", "git", "operator")
NOT_IMPORTED = {"milvus-lite"}
"""pymilvus imports it, and only tells by its absence."""
THROUGH_ANOTHER = {"grpcio": "pymilvus"}
"""The errors of gRPC come out of pymilvus as they are."""


def names(requirements: Iterable[str]) -> set[str]:
    found: set[str] = {canonicalize_name(Requirement(requirement).name) for requirement in requirements}
    return found - {"milvus-alias-reconciler"}


def declared(extra: str) -> set[str]:
    return names(PROJECT["optional-dependencies"][extra])


RUNTIME = names(PROJECT["dependencies"]).union(*map(declared, EXTRAS))


def table(heading: str) -> dict[str, str]:
    """The first column of a table, and the second one."""
    page = (ROOT / "docs/dependencies.md").read_text()
    section = re.split(rf"^## {re.escape(heading)}$", page, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\w.-]+) \| ([^|]+) \|", section, re.MULTILINE)
    return {canonicalize_name(name): second for name, second in rows if name != "package"}


def test_the_table_of_what_users_install_is_that_of_the_project() -> None:
    desired = dict.fromkeys(names(PROJECT["dependencies"]), "always")
    for extra in EXTRAS:
        for name in declared(extra):
            desired[name] = f"{desired[name]}, `[{extra}]`" if name in desired else f"`[{extra}]`"
    assert table("Runtime dependencies") == desired


def test_the_table_of_what_developers_install_is_that_of_the_project() -> None:
    assert table("Development dependencies: `[dev]`").keys() == declared("dev")
    assert PROJECT["optional-dependencies"].keys() == {*EXTRAS, "dev"}


OWN = {"reconciler", "tests", "_typeshed"}
"""Not from a distribution; `_typeshed` exists for type checkers only."""


@cache
def distributions() -> Mapping[str, list[str]]:
    """Which distributions bring a module."""
    return packages_distributions()


@cache
def imported(folder: Path) -> frozenset[str]:
    """The distributions that code imports, wherever in it; of several that share a name, those that are declared."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            tops = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - OWN
            for top in tops:
                brought = {canonicalize_name(name) for name in distributions()[top]}
                found |= brought & RUNTIME or brought
    return frozenset(found)


def test_what_is_installed_is_used_and_what_is_used_is_installed() -> None:
    assert imported(ROOT / "reconciler") - THROUGH_ANOTHER.keys() == RUNTIME - NOT_IMPORTED


@pytest.mark.parametrize(("folder", "extra"), [("operator", "operator"), ("sync", "git")])
def test_only_its_own_front_door_needs_an_extra(folder: str, extra: str) -> None:
    """What only an extra brings is imported where only that extra's command, or what such commands share, goes."""
    parts = {path.name: imported(path) for path in (ROOT / "reconciler").iterdir() if path.is_dir()}
    own = declared(extra) - names(PROJECT["dependencies"])
    assert own & parts[folder]
    for name, found in parts.items():
        others = set().union(
            *(declared(item) for item in EXTRAS if name in {"service", {"git": "sync"}.get(item, item)})
        )
        assert found & own <= others, f"reconciler/{name} needs {found & own - others}"


def test_the_oldest_and_the_newest_are_run() -> None:
    """`make test-lowest` pins what has a lower bound, so every direct dependency must have one and no upper one."""
    for item in [
        *PROJECT["dependencies"],
        *(need for extra in EXTRAS for need in PROJECT["optional-dependencies"][extra]),
    ]:
        assert re.fullmatch(r"[\w.-]+>=[\w.]+", item), item
