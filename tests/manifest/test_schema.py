"""The published schemas and CustomResourceDefinitions: as generated, and alike but for files, secrets and addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler.core.json_schema import Rule, Schema
from reconciler.core.model import EventType
from reconciler.manifest.kinds import KINDS
from reconciler.manifest.schema import custom_resource_definition, json_schema, spec_schema
from reconciler.manifest.specs import alias_set
from reconciler.manifest.specs.connection import MAX_RECEIVERS

REPOSITORY = Path(__file__).parents[2]
Place: TypeAlias = tuple[str, ...]

# Each language says these in its own way: CEL or allOf, pruning or additionalProperties, keyed lists; and checks by
# the command line that editors may show.
OF_ONE_LANGUAGE = re.compile("x-kubernetes-.*|allOf|additionalProperties|errorMessage|format")
SECRETS_AND_ADDRESSES = {"token", "secret", "tls", "uri", "uriFrom"}
FILES_AND_VARIABLES = {"env", "file", "caFile", "certFile", "keyFile"}
TIMES = {"lastTransitionTime", "created", "started", "ended", "time"}
QUERIES_FILES = {("gates", "canary", "queriesFile"), ("aliases", "[]", "gates", "canary", "queriesFile")}


def specs(kind: str) -> tuple[Schema, Schema]:
    """The `spec` of the published JSON Schema and of the CustomResourceDefinition."""
    told = json.loads((REPOSITORY / f"schemas/{kind.lower()}.schema.json").read_text())
    return told["properties"]["spec"], cast("dict[str, Schema]", served_schema(kind)["properties"])["spec"]


def served_schema(kind: str) -> Schema:
    """The whole schema in the published CustomResourceDefinition."""
    definition = yaml.safe_load((REPOSITORY / f"crds/{kind.lower()}s.aliasctl.dev.yaml").read_text())
    schema: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: Schema, place: Place = ()) -> Iterator[tuple[Place, Schema]]:
    """Every field at any depth, with the words that both languages have."""
    yield (
        place,
        {
            word: value
            for word, value in schema.items()
            if word not in ("properties", "items") and not OF_ONE_LANGUAGE.fullmatch(word)
        },
    )
    for name, below in cast("dict[str, Schema]", schema.get("properties", {})).items():
        yield from fields(below, (*place, name))
    for word in ("items", "additionalProperties"):
        if isinstance(each := schema.get(word), dict):
            yield from fields(each, (*place, "[]"))


@pytest.mark.parametrize("kind", KINDS)
def test_published_files_are_what_the_code_says(kind: str) -> None:
    schema = (REPOSITORY / f"schemas/{kind.lower()}.schema.json").read_text()
    assert json.loads(schema) == json_schema(kind), "run: python -m reconciler.generate"
    definition = (REPOSITORY / f"crds/{kind.lower()}s.aliasctl.dev.yaml").read_text()
    assert yaml.safe_load(definition) == custom_resource_definition(kind), "run: python -m reconciler.generate"


@pytest.mark.parametrize("kind", KINDS)
def test_json_schema_is_one_and_every_field_is_described(kind: str) -> None:
    Draft202012Validator.check_schema(json_schema(kind))
    for place, schema in fields(json_schema(kind)):
        assert schema.get("description") or place[:1] == ("metadata",), place


@pytest.mark.parametrize("kind", KINDS)
def test_both_languages_say_the_same(kind: str) -> None:
    told, served = (dict(fields(spec)) for spec in specs(kind))
    for place in told.keys() | served.keys():
        if not SECRETS_AND_ADDRESSES.intersection(place) and place not in QUERIES_FILES:
            assert told[place] == served[place]


def test_the_operator_takes_secrets_and_no_files() -> None:
    told, served = (dict(fields(spec)) for spec in specs("MilvusConnection"))
    assert told.keys() - served.keys() == {place for place in told if FILES_AND_VARIABLES.intersection(place[-1:])}
    assert {("token", "env"), ("tls", "keyFile"), ("hooks", "[]", "secret", "file")} <= told.keys()
    assert served.keys() <= told.keys()
    told_set, served_set = (dict(fields(spec)) for spec in specs("AliasSet"))
    assert told_set.keys() - served_set.keys() == QUERIES_FILES
    uri = re.compile(cast("str", served["uri",]["pattern"]))
    assert uri.fullmatch("https://milvus:19530")
    assert not uri.fullmatch("./milvus.db")


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_are_told_in_both_languages(kind: str) -> None:
    def rules(schema: object) -> Iterator[Rule]:
        if isinstance(schema, dict):
            yield from schema.get("rules", ())
            for name, below in schema.items():
                yield from rules(below) if name != "rules" else ()

    # What JSON Schema cannot compare, the loader does: test_refused has the samples.
    without_words = {
        alias_set.SELF_ALIAS,
        alias_set.OWN_CONNECTION,
        "min is more than max",
        "minPercentOfCurrent is more than maxPercentOfCurrent",
        "the timeout must be above 0s and at most 1h",
        "the maxP95 must be above 0s and at most 1h",
        "the maxAge must be above 0s and at most 8784h",
        "the soak must be above 0s and at most 24h",
        "the interval must be above 0s and at most 24h",
        "the deletionTimeout must be above 0s and at most 24h",
        alias_set.FIXED_CONNECTION,
        alias_set.FIXED_DATABASE,
    }
    told, served = (json.dumps(spec) for spec in specs(kind))
    for rule in rules(spec_schema(kind, operator=True)):
        assert json.dumps(rule.message) in served
        assert (json.dumps(rule.message) in told) is (rule.message not in without_words)


@pytest.mark.parametrize("kind", KINDS)
def test_definitions_keep_kubernetes_limits(kind: str) -> None:
    definition = cast("dict[str, dict[str, object]]", custom_resource_definition(kind))
    names = cast("dict[str, object]", definition["spec"]["names"])
    assert names["shortNames"] == [{"AliasSet": "aset", "MilvusConnection": "milvusconn"}[kind]]
    assert names["categories"] == ["aliasctl"]
    at_most = {
        ("aliases",): 1000,
        ("dependsOn",): 16,
        ("verify", "metrics"): 8,
        ("aliases", "[]", "verify", "metrics"): 8,
        ("notify",): MAX_RECEIVERS,
        ("notify", "[]", "events"): len(EventType),
    }
    for place, schema in fields(specs(kind)[1]):
        if schema["type"] == "string" and "enum" not in schema:
            assert "maxLength" in schema, place
            pattern = str(schema.get("pattern", ""))
            assert "\\u" not in pattern, "Go's regular expressions have no such escape"
            assert all(int(number) <= 1000 for number in re.findall(r"[{,](\d+)}", pattern)), "more repeats than Go has"
        if schema["type"] == "object" and place[-1:] == ("properties",):
            assert schema["maxProperties"] == 64
        if schema["type"] == "array":
            assert schema["maxItems"] == at_most.get(place, 64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_keeps_and_explains_every_field(kind: str) -> None:
    served = served_schema(kind)
    assert "x-kubernetes-preserve-unknown-fields" not in json.dumps(served)
    for place, schema in fields(served):
        assert schema.get("description") or place == ("metadata",), place


def test_the_status_of_a_set_is_bounded() -> None:
    status = cast("dict[str, Schema]", served_schema("AliasSet")["properties"])["status"]
    assert status["default"] == {"observedGeneration": -1}
    at_most = {
        ("conditions",): 8,
        ("history",): 5,
        ("pendingVerification",): 1000,
        ("pendingVerification", "[]", "aliases"): 1000,
        ("pendingRevert", "dropped"): 10,
        ("notifications", "reported"): 1000,
        ("notifications", "reported", "[]", "aliases"): 1000,
        ("notifications", "waiting"): 1000,
        ("notifications", "waiting", "[]", "receivers"): MAX_RECEIVERS,
    }
    for place, schema in fields(status):
        if schema["type"] == "string" and "enum" not in schema and place[-1] not in TIMES:
            assert "maxLength" in schema, place
        if schema["type"] == "array":
            assert schema["maxItems"] == at_most.get(place, 100), place
    found = cast("dict[str, Schema]", status["properties"])
    lists = {name: field["x-kubernetes-list-type"] for name, field in found.items() if field["type"] == "array"}
    atomic = dict.fromkeys(("aliases", "history", "rejected", "pendingVerification"), "atomic")
    assert lists == {"conditions": "map", **atomic}


def test_kubectl_get_shows_whether_it_is_ready_and_why() -> None:
    versions = cast("Any", custom_resource_definition("AliasSet"))["spec"]["versions"]
    columns = {
        version["name"]: (version["jsonPath"], version["priority"])
        for version in versions[0]["additionalPrinterColumns"]
    }
    assert columns == {
        "Ready": (".status.conditions[?(@.type=='Ready')].status", 0),
        "Status": (".status.conditions[?(@.type=='Ready')].message", 0),
        "Age": (".metadata.creationTimestamp", 0),
        "Connection": (".spec.connectionRef.name", 1),
        "Database": (".spec.database", 1),
        "Aliases": (".status.counts.aliases", 1),
        "Drift": (".status.counts.drift", 1),
    }
