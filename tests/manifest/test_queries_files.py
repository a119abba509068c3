"""Files of query vectors that canary gates name."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.gates.canary import CanaryGate
from reconciler.manifest import Manifests, read

GOOD = '{"vector": [0.1, 0.2]}\n'
BAD = GOOD + '\n{"vector": [0.1, "x"]}\n'


def a_set(name: str = "search", queries: str = "q.jsonl", more: str = "") -> str:
    return (
        f"apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\nmetadata: {{name: {name}}}\nspec:\n"
        "  connectionRef: {name: prod}\n"
        f"  gates: {{canary: {{minOverlap: 0.6, queriesFile: {queries}{more}}}}}\n"
        f"  aliases: [{{name: {name}, collection: x}}]\n---\n"
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("sets").mkdir()
    return tmp_path


def queries(manifests: Manifests) -> list[tuple[str | None, str | None] | None]:
    """The queries of every alias, in order."""
    gates = [alias.gates.get(CanaryGate) for alias_set in manifests.sets for alias in alias_set.aliases]
    return [(gate.queries_file, gate.queries_sha256) if gate else None for gate in gates]


def problems(*paths: str) -> list[str]:
    with pytest.raises(InvalidInput) as refusal:
        read(paths)
    return str(refusal.value).splitlines()


def test_the_file_is_found_beside_the_manifest_and_known_by_its_content(folder: Path) -> None:
    Path("sets/q.jsonl").write_text(GOOD)
    Path("q.jsonl").write_text(BAD)
    Path("sets/a.yaml").write_text(a_set() + a_set("other", str(folder / "sets" / "q.jsonl")))
    found = (str(folder / "sets" / "q.jsonl"), sha256(GOOD.encode()).hexdigest())
    assert queries(read(["sets"])) == [found, found]


def test_standard_input_starts_in_the_working_directory(folder: Path) -> None:
    Path("q.jsonl").write_text(GOOD)
    [found] = queries(read(["-"], stdin=BytesIO(a_set().encode())))
    assert found
    assert found[0] == str(folder / "q.jsonl")


def test_the_same_queries_are_the_same_wish_wherever_they_lie() -> None:
    for place in (Path("q.jsonl"), Path("sets/q.jsonl")):
        place.write_text(GOOD)
        place.with_name("a.yaml").write_text(a_set())
    item, other = (read([path]).sets[0].aliases[0].gates for path in ("a.yaml", "sets/a.yaml"))
    assert item != other
    assert item.specification(paths=False) == other.specification(paths=False)


def test_what_is_wrong_in_a_file_is_told_once_by_its_line_and_with_everything_else() -> None:
    Path("sets/q.jsonl").write_text(BAD)
    Path("sets/empty.jsonl").write_text("")
    Path("sets/a.yaml").write_text(a_set() + a_set("other") + a_set("third", "empty.jsonl", ", overlap: 1"))
    assert problems("sets/a.yaml") == [
        'sets/a.yaml:22:63: unknown field "overlap"; did you mean "minOverlap"?',
        "sets/empty.jsonl: there is no query in it",
        "sets/q.jsonl:3: vector: element 2 is not a number",
    ]


def test_a_file_that_cannot_be_read_is_told_where_it_is_named() -> None:
    Path("sets/a.yaml").write_text(a_set() + a_set("other", "q.jsonl/x"))
    Path("sets/b.yaml").write_text(a_set("long", "n" * 300))
    reason = "cannot be read: {}; a relative path starts in the folder of this file"
    assert problems("sets") == [
        f'sets/a.yaml:6:50: the queries file "q.jsonl" {reason.format("No such file or directory")}',
        f'sets/a.yaml:14:50: the queries file "q.jsonl/x" {reason.format("No such file or directory")}',
        f'sets/b.yaml:6:50: the queries file "{"n" * 59}…" {reason.format("File name too long")}',
    ]
    with pytest.raises(
        InvalidInput, match="No such file or directory; a relative path starts in the working directory"
    ):
        read(["-"], stdin=BytesIO(a_set().encode()))


def test_a_gate_that_is_off_needs_no_file() -> None:
    Path("a.yaml").write_text(a_set(more=", enabled: false"))
    assert queries(read(["a.yaml"])) == [None]


def test_a_file_that_many_gates_name_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read twice, it could be two files: aliases of one manifest would be judged by different queries."""
    opened: list[Path] = []
    original = Path.open

    def noted(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path)
        return original(path, *arguments, **options)

    Path("q.jsonl").write_text(GOOD)
    Path("a.yaml").write_text(a_set() + a_set("other"))
    Path("b.yaml").write_text(a_set("third", "./q.jsonl"))
    monkeypatch.setattr(Path, "open", noted)
    assert len(read(["."]).sets) == 3
    assert opened.count(folder / "q.jsonl") == 1
