"""Records as documents: what is written, what is refused with which place, and what the schema says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta, field

from reconciler.core.errors import InvalidInput
from reconciler.core.record import ALWAYS, INLINE, INTERNAL, Count, Record, Time
from reconciler.documents.codec import Malformed, decode, encode, schemas
from reconciler.documents.plan_file import load_plan
from tests.hostile import documents


class Place(Record, frozen=True):
    """Where something is."""

    address: str
    note: Annotated[str, INTERNAL] = "not written"


class Leaf(Record, frozen=True):
    """A record in a record."""

    place: Annotated[Place, INLINE]
    read_count: Annotated[Count, Meta(description="Reads."), ALWAYS] = 0
    seconds: Annotated[float, Meta(gt=0)] = 1.0
    started: Time | None = None


class Tree(Record, frozen=True):
    """A record with records."""

    current: str | None = field(name="from")
    leaves: tuple[Leaf, ...] = ()


TREE = Tree(None, (Leaf(Place("a:1")), Leaf(Place("b:2"), 3, 0.5, "2026-11-23T23:01:02Z")))
DOCUMENT = {
    "from": None,
    "leaves": [
        {"address": "a:1", "readCount": 0},
        {"address": "b:2", "readCount": 3, "seconds": 0.5, "started": "2026-11-23T23:01:02Z"},
    ],
}


def test_a_record_is_written_under_its_names_without_its_defaults_and_read_back() -> None:
    assert encode(TREE) == DOCUMENT
    assert decode(DOCUMENT, Tree) == TREE


@pytest.mark.parametrize(
    ("edit", "place", "message"),
    [
        (lambda leaf: leaf.update(readCount="3"), "$.leaves[1].readCount", "Expected int, got str"),
        (lambda leaf: leaf.update(readCount=-1), "$.leaves[1].readCount", "Expected int >= 0"),
        (lambda leaf: leaf.update(readCount=1.5), "$.leaves[1].readCount", "Expected int, got float"),
        (lambda leaf: leaf.update(readCount=True), "$.leaves[1].readCount", "Expected int, got bool"),
        (lambda leaf: leaf.update(seconds=0), "$.leaves[1].seconds", "Expected float > 0.0"),
        (lambda leaf: leaf.update(started="soon"), "$.leaves[1].started", "Expected a time as RFC 3339"),
        (lambda leaf: leaf.update(started=None), "$.leaves[1].started", "Expected a time as RFC 3339"),
        (lambda leaf: leaf.update(address=None), "$.leaves[1].address", "Expected str, got null"),
        (lambda leaf: leaf.update(note="x"), "$.leaves[1]", "Object contains unknown field note"),
        (lambda leaf: leaf.pop("address"), "$.leaves[1]", "Object missing required field address"),
        (lambda leaf: leaf.pop("readCount"), "$.leaves[1]", "Object missing required field readCount"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_by_the_reader_and_by_the_schema(
    edit: Callable[[Any], object], place: str, message: str
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    edit(document["leaves"][1])
    with pytest.raises(Malformed) as refused:
        decode(document, Tree)
    assert (refused.value.path, str(refused.value)) == (place, message)
    (schema,), definitions = schemas([Tree])
    if "time" not in message:  # formats are annotations, unless a validator is told otherwise
        assert not Draft202012Validator(schema | {"$defs": definitions}).is_valid(document)


def test_a_lenient_reader_passes_over_unknown_fields_alone() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["leaves"][1]["weather"] = "fine"
    assert decode(document, Tree, lenient=True) == TREE
    del document["leaves"][1]["address"]
    with pytest.raises(Malformed, match="address"):
        decode(document, Tree, lenient=True)


def test_whole_numbers_may_have_a_point() -> None:
    document = {"from": "x", "leaves": [{"address": "a:1", "readCount": 8.0, "seconds": 2}]}
    (leaf,) = decode(document, Tree).leaves
    assert (leaf.read_count, type(leaf.read_count), leaf.seconds, type(leaf.seconds)) == (8, int, 2.0, float)


def test_the_schema_says_what_is_required_and_describes_it() -> None:
    (schema,), definitions = schemas([Tree])
    assert (schema["required"], definitions["Leaf"]["required"]) == (["from"], ["address", "readCount"])
    assert definitions["Leaf"]["properties"]["readCount"] == {
        "description": "Reads.",
        "type": "integer",
        "minimum": 0,
    }
    assert definitions["Leaf"]["properties"]["started"] == {"type": "string", "format": "date-time"}
    assert "note" not in definitions["Leaf"]["properties"]


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_a_plan_file_that_is_nested_deeply_is_refused_in_a_sentence(depth: int, tmp_path: Path) -> None:
    text = json.dumps(documents.plan() | {"tool": "NESTED"})
    path = tmp_path / "plan.json"
    path.write_text(text.replace('"NESTED"', "[" * depth + "]" * depth))
    with pytest.raises(InvalidInput, match="not a valid plan file: "):
        load_plan(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "s3cr3t"),
        ("token", {"s3cr3t": 1}),
        ("token", {"env": ["s3cr3t"]}),
        ("origin", "s3cr3t"),
        ("s3cr3t", 1),
    ],
)
def test_no_value_of_a_connection_is_repeated(name: str, value: object, tmp_path: Path) -> None:
    document = documents.plan()
    document["targets"][0]["connection"][name] = value
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match=r"\$\.targets\[0\]\.connection\S*: invalid value") as refused:
        load_plan(path)
    assert "s3cr3t" not in str(refused.value)
