"""The gate `contract`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.core.errors import PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.plan import GateResult, Verdict
from reconciler.gates.contract import ContractGate, described
from tests.builders import server, vector_schema
from tests.gates.judging import OFF, asked, failing

GATES = Gates(OFF, ContractGate({"lang": "en", "model": "bge-m3"}))


def judged(description: str = "", **properties: str) -> GateResult:
    made = server()
    made.create_collection("c2", schema=replace(vector_schema(), description=description, properties=properties))
    return asked(made, GATES, current=None)


def test_half_a_character_in_a_description_is_no_text() -> None:
    found = described('{"model": "\\ud800", "\\udfff": "b", "tags": ["\\ud800"], "smile": "\\ud83d\\ude00"}')
    assert found == {
        "model": "\N{REPLACEMENT CHARACTER}",
        "\N{REPLACEMENT CHARACTER}": "b",
        "tags": '["\\ud800"]',
        "smile": "😀",
    }


@pytest.mark.parametrize(
    ("description", "properties"),
    [
        ("", {"lang": "en", "model": "bge-m3", "mmap.enabled": "true"}),
        ('{"model": "bge-m3", "lang": "en", "tags": ["a"]}', {}),
        ("model=bge-m3,lang=en", {}),
        ("Products of the shop; model: bge-m3 ; lang : en", {}),
        ("model: bge-m3\nlang=en\nsee https://wiki/products", {}),
        ("lang: en", {"model": "bge-m3"}),
        ("lang: en, model: old", {"model": "bge-m3"}),
        ("lang: en, model: bge-m3, model: old", {}),
    ],
)
def test_properties_count_and_where_they_say_nothing_the_description(
    description: str, properties: dict[str, str]
) -> None:
    result = judged(description, **properties)
    assert (result.verdict, result.detail) == (Verdict.PASS, "")
    assert result.figures == {"lang": "en", "model": "bge-m3"}


@pytest.mark.parametrize(
    ("description", "properties", "troubles"),
    [
        ("", {}, 'property lang is missing (expected "en"); property model is missing (expected "bge-m3")'),
        ("lang=en", {"model": "bge-small"}, 'property model is "bge-small" (expected "bge-m3")'),
        ("lang=en; model=BGE-M3", {}, 'property model is "BGE-M3" (expected "bge-m3")'),
        (
            '{"lang": "en", "model": {"name": "bge-m3"}}',
            {},
            'property model is "{"name": "bge-m3"}" (expected "bge-m3")',
        ),
        (
            '["lang=en", "model=bge-m3"]',
            {},
            'property lang is missing (expected "en"); property model is missing (expected "bge-m3")',
        ),
        (
            "model bge-m3, lang en",
            {},
            'property lang is missing (expected "en"); property model is missing (expected "bge-m3")',
        ),
        (f"lang=en; model={'x' * 99}", {}, f'property model is "{"x" * 59}…" (expected "bge-m3")'),
    ],
)
def test_a_failure_names_what_is_wanted_and_what_was_found(
    description: str, properties: dict[str, str], troubles: str
) -> None:
    result = judged(description, **properties)
    assert result.verdict is Verdict.FAIL
    assert result.detail == (f"c2: {troubles}; set it on the collection or choose another one")


def test_figures_are_what_was_found() -> None:
    assert judged("lang=de").figures == {"lang": "de"}


@pytest.mark.parametrize(("found", "desired"), [("3", "3"), ("true", "true"), ("0.5", "0.5")])
def test_values_in_json_that_are_no_texts_count_as_json_writes_them(found: str, desired: str) -> None:
    made = server()
    made.create_collection("c2", schema=replace(vector_schema(), description=f'{{"version": {found}}}'))
    gates = Gates(OFF, ContractGate({"version": desired}))
    assert asked(made, gates, current=None).verdict is Verdict.PASS


def test_what_may_not_be_read_is_unknown() -> None:
    result = asked(failing(server("c1", "c2"), PermissionDenied("no"), ("schema", "c2")), GATES)
    assert (result.verdict, result.detail) == (Verdict.UNKNOWN, "the properties of c2 cannot be read: no")
