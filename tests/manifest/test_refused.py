"""Every way to be refused, each a file in `refused/` that begins with the exact answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from jsonschema_rs import ValidationErrorKind

from reconciler.core.errors import InvalidInput
from reconciler.core.json_schema import Schema
from reconciler.manifest import check, read, validation, yaml_marks
from reconciler.manifest.kinds import KINDS
from reconciler.manifest.schema import json_schema

SAMPLES = sorted((Path(__file__).parent / "refused").glob("*.yaml"))
SECRETS = ("hunter2", "s3cret", "root:Milvus", "PRIVATE KEY")

HEADER = "apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\n"

LENGTHS = ("maxLength", "maxItems", "maxProperties")
WORDS = (*LENGTHS, "type", "enum", "format", "pattern", "minimum", "maximum", "minProperties", "additionalProperties")

# A keyword of a schema: the way to it, and for `required` the field's name.
Constraint: TypeAlias = tuple[str | int, ...]


def expected(sample: Path) -> list[str]:
    """The lines `# expect: [LINE:COLUMN:] MESSAGE`, as they come out for this file."""
    lines = [
        line.removeprefix("# expect: ") for line in sample.read_text().splitlines() if line.startswith("# expect:")
    ]
    return [f"{sample.name}:{line}" if line[0].isdigit() else f"{sample.name}: {line}" for line in lines]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_sample_gets_exactly_its_answer(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sample.parent)
    with pytest.raises(InvalidInput) as refusal:
        check(read([sample.name]))
    assert str(refusal.value).splitlines() == expected(sample)
    assert not any(secret in str(refusal.value) for secret in SECRETS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_constraint_of_the_schema_has_a_sample(kind: str) -> None:
    # Lengths have a test of their own; what is no mapping, or has not our apiVersion and kind, never gets this far.
    elsewhere = {*LENGTHS, "apiVersion", "kind"}
    desired = {
        constraint
        for constraint in constraints(json_schema(kind))
        if constraint[:-1] and not elsewhere.intersection(map(str, constraint))
    }
    assert desired - violated(kind) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_limited(kind: str) -> None:
    for *way, word in constraints(json_schema(kind)):
        if word not in LENGTHS:
            continue
        schema: object = json_schema(kind)
        for step in way:
            schema = cast("dict[str | int, object]", schema)[step]
        limit = cast("dict[str, int]", schema)[str(word)]
        too_long: Any = {
            "maxLength": "a" * (limit + 1),
            "maxItems": [{}] * (limit + 1),
            "maxProperties": {str(number): "" for number in range(limit + 1)},
        }[str(word)]
        errors = validation.compiled(cast("Schema", schema)).iter_errors(too_long)
        assert word in {error.schema_path[-1] for error in errors}, way


def test_too_many_aliases(tmp_path: Path) -> None:
    aliases = ", ".join(f"{{name: a{number}, state: Absent}}" for number in range(1001))
    manifest = tmp_path / "set.yaml"
    manifest.write_text(f"{HEADER}metadata: {{name: a}}\nspec: {{connectionRef: {{name: b}}, aliases: [{aliases}]}}\n")
    with pytest.raises(InvalidInput, match=r"set\.yaml:4:43: expected at most 1000 items, found 1001"):
        read([manifest])


def constraints(schema: Schema, path: Constraint = ()) -> Iterator[Constraint]:
    """Every keyword that can refuse something, with the way to it."""
    for word, value in schema.items():
        if word == "properties":
            for name, below in cast("dict[str, Schema]", value).items():
                yield from constraints(below, (*path, word, name))
        elif word == "items" or (word == "additionalProperties" and value is not False):
            yield from constraints(cast("Schema", value), (*path, word))
        elif word in ("required", "allOf"):
            parts = cast("list[object]", value)
            yield from ((*path, word, str(part) if word == "required" else at) for at, part in enumerate(parts))
        elif word in WORDS:
            yield (*path, word)


def violated(kind: str) -> set[Constraint]:
    """The constraints that some sample breaks."""
    found: set[Constraint] = set()
    for sample in SAMPLES:
        for document in yaml_marks.parse(sample.read_text(), sample.name)[0]:
            if f"kind: {kind}" in sample.read_text():
                for error in validation.compiled(json_schema(kind)).iter_errors(document.root.value):
                    path = tuple(error.schema_path)
                    if "allOf" in path:
                        found.add(path[: path.index("allOf") + 2])
                    elif isinstance(error.kind, ValidationErrorKind.Required):
                        found.add((*path, error.kind.property))
                    else:
                        found.add(path)
    return found
