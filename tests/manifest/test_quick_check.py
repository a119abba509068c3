"""What the quick check accepts, the JSON Schema accepts too; and it accepts what people write."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.json_schema import Rule
from reconciler.manifest import validation, yaml_marks
from reconciler.manifest.kinds import KINDS
from reconciler.manifest.quick_check import certainly_valid
from reconciler.manifest.schema import json_schema
from reconciler.manifest.specs.alias_set import AliasSpec
from tests.hostile.documents import MANIFEST
from tests.manifest.largest import largest_set

SCHEMAS = {kind: validation.compiled(json_schema(kind)) for kind in KINDS}
REFUSED = sorted((Path(__file__).parent / "refused").glob("*.yaml"))
VALUES: list[Any] = [None, True, False, 0, 1, -1, 8.0, 0.5, 65, 10**12, "", "a", "a\n", "Absent", "x" * 300, "3s", "0s"]
VALUES += ["2h", "25h", "http://host", "https://host:0", "UPPER", "a" * 64, [], ["a"], ["a", None], {}, {"a": "b"}]


def documents() -> list[Any]:
    texts = [MANIFEST, *(sample.read_text() for sample in REFUSED)]
    found = [document.root.value for text in texts for document in yaml_marks.parse(text, "")[0]]
    return [document for document in [*found, largest_set()] if isinstance(document, dict) and known(document)]


def known(document: dict[str, Any]) -> bool:
    return document.get("kind") in KINDS and document.get("apiVersion") == "aliasctl.dev/v1alpha1"


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every mapping and list, with each of its keys or indexes."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(below, dict | list):
            yield from places(below)


ORIGINALS = documents()
NAMES = sorted({str(key) for document in ORIGINALS for _, key in places(document)})
NAMES += ["yields", "queriesSha256", "status", "labels"]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_nothing_is_accepted_that_the_schema_refuses(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(ORIGINALS)))
    for _ in range(data.draw(st.integers(0, 3))):
        within, key = data.draw(st.sampled_from([*places(document), (document, "kind")]))
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove" and isinstance(within, dict):
            within.pop(key, None)
            continue
        name = data.draw(st.sampled_from(NAMES)) if isinstance(within, dict) and change == "add" else key
        within[name] = copy.deepcopy(data.draw(st.sampled_from(VALUES)))
    assert_sound(document)


def test_no_other_value_in_any_place_is_accepted_that_the_schema_refuses() -> None:
    for original in (document.root.value for document in yaml_marks.parse(MANIFEST, "")[0]):
        document: Any = copy.deepcopy(original)
        for within, key in list(places(document)):
            value = within[key]
            for other in [*VALUES, f"{value}\n"]:
                within[key] = other
                assert_sound(document)
            within[key] = value


def assert_sound(document: dict[str, Any]) -> None:
    if known(document) and certainly_valid(document["kind"], document):
        assert not [str(error) for error in SCHEMAS[document["kind"]].iter_errors(document)]


def test_ordinary_documents_are_accepted() -> None:
    ordinary = [document for document in ORIGINALS if SCHEMAS[document["kind"]].is_valid(document)]
    refused = [document for document in ordinary if not certainly_valid(document["kind"], document)]
    assert len(ordinary) > 20
    assert [document for document in refused if "status" not in document] == []


def test_a_rule_in_other_words_is_left_to_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate or a field may come with a rule that the quick check does not understand."""
    rule = Rule("no", json={"not": {"dependentRequired": {"name": ["collection"]}}})
    monkeypatch.setattr(AliasSpec, "rules", (rule,))
    assert not certainly_valid("AliasSet", largest_set())
