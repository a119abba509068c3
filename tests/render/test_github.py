"""The format `github`, as a runner of GitHub Actions reads it."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from reconciler.core.errors import Problem
from reconciler.core.model import Source
from reconciler.render.github import workflow_commands


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Return level, properties and message, as the runner takes them apart."""
    found = re.fullmatch(r"::(\w+)(?: ([^\r\n]*?))?::([^\r\n]*)", line)
    assert found
    properties = dict(pair.split("=", 1) for pair in (found[2] or "").split(",") if pair)
    return found[1], {name: unquote(value) for name, value in properties.items()}, unquote(found[3])


@pytest.mark.parametrize(
    ("source", "properties"),
    [
        (Source("aliases/shop.yaml", 6, 3), {"file": "aliases/shop.yaml", "line": "6", "col": "3"}),
        (Source("aliases/shop.yaml"), {"file": "aliases/shop.yaml"}),
        (Source("a,b::c=100%\n.yaml", 1, 1), {"file": "a,b::c=100%\n.yaml", "line": "1", "col": "1"}),
        (Source("<stdin>", 1, 1), {}),
        (None, {}),
    ],
)
def test_the_place_of_a_problem(source: Source | None, properties: dict[str, str]) -> None:
    (line,) = workflow_commands("error", [Problem("is wrong", source)]).splitlines()
    assert read(line) == ("error", properties, "is wrong")


@pytest.mark.parametrize("message", ["50 % of: a, b", "first\nsecond", "%0A", "x\n::set-env name=PATH::/tmp"])
def test_a_message_is_one_command_and_arrives_as_it_was(message: str) -> None:
    (line,) = workflow_commands("warning", [Problem(message, Source("a.yaml", 2))]).splitlines()
    assert read(line) == ("warning", {"file": "a.yaml", "line": "2"}, message)


def test_control_characters_are_shown_and_not_obeyed() -> None:
    (line,) = workflow_commands("error", [Problem("red \x1b[31m\rover", Source("a.yaml"))]).splitlines()
    assert read(line)[2] == "red \\x1b[31m\\rover"
