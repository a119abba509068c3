"""The results in docs/exercise.md are what `aliasctl check --exercise` prints on these servers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.servers import MilvusAdmin

PAGE = Path(__file__).parents[2] / "docs" / "exercise.md"
SECTION = re.compile(r"^## Results on (Milvus[\w ]*?) [\d.]+$(?:.*?)^```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
DATABASE = "scratch"
TIMEOUT = 300
"""Seconds for 200 moves and their readers: 23 on an idle machine, several times that beside other tests."""
EVERY_30_SECONDS = "Exercising the server"
BY_CHANCE = "readers, after "
"""Whether a reader gets stuck in 200 moves."""


def results() -> dict[str, str]:
    """The result on each product, as the page has it."""
    return dict(SECTION.findall(PAGE.read_text()))


def comparable(text: str) -> list[str]:
    """Without address, version and time, and without what happens by chance with its details."""
    plain = re.sub(r"(Milvus|Milvus Lite) [\d.]+(-lite)? at \S+", r"\1", text)
    plain = re.sub(r"\n  . readers, after .*(\n      .*)?", "", plain)
    return re.sub(r"Exercise: .* s\.", "Exercise", plain).splitlines()


@contextmanager
def scratch(uri: str) -> Iterator[None]:
    admin = MilvusAdmin(uri)
    admin.create_database(DATABASE)
    try:
        yield
    finally:
        admin.client(DATABASE)
        admin.forget(DATABASE)
        admin.close()


def assert_page_is_right(product: str, uri: str, folder: Path, results: Mapping[str, str]) -> None:
    arguments = ("check", "--exercise", "--yes", "--uri", uri, "--database", DATABASE)
    with scratch(uri):
        done = run(*arguments, cwd=folder, timeout=TIMEOUT)
    assert (done.code, {*done.stderr.splitlines()} - {EVERY_30_SECONDS}) == (0, set())
    assert comparable(done.stdout) == comparable(results[product])
    assert re.search(r"^Exercise: \d+ as expected.*\. 200 moves under \d readers, \d+\.\d s\.$", done.stdout, re.M)


def test_the_page_has_both_servers() -> None:
    assert results().keys() == {"Milvus", "Milvus Lite"}
    for text in results().values():
        assert "✗" not in text
        assert max(map(len, text.splitlines())) <= 80


def test_on_milvus_lite(lite_server: str, tmp_path: Path) -> None:
    assert_page_is_right("Milvus Lite", lite_server, tmp_path, results())


@pytest.mark.usefixtures("milvus")
def test_on_milvus(tmp_path: Path) -> None:
    assert_page_is_right("Milvus", os.environ["MILVUS_URI"], tmp_path, results())
