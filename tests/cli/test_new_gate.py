"""A gate is one object and one line of the registry: everything else follows, for a gate that only these tests have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.model import Row
from reconciler.gates import unknown_gate
from tests.cli.command import Completed, finish, start
from tests.cli.shop import Shop
from tests.journals import documents

REPOSITORY = Path(__file__).parents[2]
WITH_THE_GATE = (sys.executable, "-m", "tests.cli.multiple_gate")
ROWS: list[Row] = [{"id": key, "vector": (float(key), 1.0, 0.0, 0.0)} for key in range(10)]


@pytest.fixture
def store(shop: Shop) -> Shop:
    """`a` is at `ten`, which has ten rows, and should move to `six`, which has six."""
    for name, rows in (("ten", ROWS), ("six", ROWS[:6])):
        shop.admin.create_collection(name, shop.database, replicas=1, rows=rows)
    shop.point(a="ten")
    return wanting(shop, of=3)


def wanting(store: Shop, **settings: Any) -> Shop:
    store.want({"a": "six"}, gates={"multiple": settings})
    return store


def aliasctl(store: Shop, *arguments: str) -> Completed:
    environment = {"PYTHONPATH": str(REPOSITORY)}
    return finish(start(arguments, store.folder, environment, through=WITH_THE_GATE))


def with_manifest(store: Shop, command: str, *arguments: str) -> Completed:
    return aliasctl(store, command, "-f", "aliases.yaml", *arguments)


def plan(store: Shop, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(with_manifest(store, "plan", "--format", "json", *arguments).stdout)
    return document


def gates_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The results of the only step's gates in a plan or a report."""
    (step,) = document["targets"][0]["steps"]
    return [(gate["gate"], gate["result"]) for gate in step["gates"]]


def test_manifests_have_it_and_without_it_its_name_is_unknown(store: Shop) -> None:
    assert with_manifest(store, "validate").code == 0
    assert unknown_gate('"multiple"') in store.run("validate", "-f", "aliases.yaml").stderr
    for settings, message in (
        ({"of": 1}, "expected at least 2, found the number 1"),
        ({}, "a multiple gate needs of: a number"),
        ({"off": 3}, 'unknown field "off"; did you mean "of"?'),
    ):
        assert message in with_manifest(wanting(store, **settings), "validate").stderr
    assert with_manifest(wanting(store, enabled=False), "validate").code == 0


def test_it_is_evaluated_by_its_cost(store: Shop) -> None:
    assert gates_of(plan(store)) == [("loaded", "pass"), ("multiple", "notEvaluated")]
    assert gates_of(plan(store, "--gates", "all")) == [("loaded", "pass"), ("multiple", "pass")]
    failing = with_manifest(wanting(store, of=4), "plan", "--gates", "all")
    assert (failing.code, "✗ multiple   6 rows, of 4" in failing.stdout) == (3, True), failing.stdout


def test_a_saved_plan_keeps_it_and_so_does_the_journal(store: Shop) -> None:
    digest = plan(store, "--out", "plan.json")["digest"]
    assert plan(store)["digest"] == digest
    saved = store.read("plan.json")
    assert saved["targets"][0]["steps"][0]["gateSpecification"] == {"multiple": {"of": 3}}
    assert json.loads(aliasctl(store, "show", "plan.json", "--format", "json").stdout)["digest"] == digest
    assert plan(wanting(store, of=2))["digest"] != digest

    applied = json.loads(aliasctl(store, "apply", "plan.json", "--yes", "--format", "json").stdout)
    assert gates_of(applied) == [("loaded", "pass"), ("multiple", "pass")]
    assert store.live == {"a": "six"}
    (intent,) = [entry for entry in documents(store.folder / "journal.db") if entry["event"] == "intent"]
    assert intent["gateSpecification"] == {"multiple": {"of": 3}}

    back = json.loads(aliasctl(store, "rollback", "--dry-run", "--format", "json").stdout)
    assert back["targets"][0]["steps"][0]["gateSpecification"] == {"multiple": {"of": 3}}, "read from the journal"


def test_a_manifest_is_applied_and_a_failing_gate_holds(store: Shop) -> None:
    failed = with_manifest(wanting(store, of=4), "apply", "--yes")
    assert (failed.code, store.live) == (3, {"a": "ten"}), failed.stdout
    applied = with_manifest(wanting(store, of=3), "apply", "--yes")
    assert (applied.code, store.live) == (0, {"a": "six"}), applied.stderr


def test_it_can_be_skipped_by_name(store: Shop) -> None:
    skipped = with_manifest(wanting(store, of=4), "apply", "--yes", "--skip-gate", "multiple:a")
    assert (skipped.code, store.live) == (0, {"a": "six"}), skipped.stderr
    assert "GATE one of loaded, indexed, rows, freshness, schema, contract, access, canary, warm, hook, multiple" in (
        with_manifest(store, "plan", "--skip-gate", "other:a").stderr
    )


def test_check_asks_for_the_calls_that_it_needs(store: Shop) -> None:
    def query() -> dict[str, Any]:
        found = json.loads(with_manifest(store, "check", "--format", "json").stdout)
        (condition,) = [each for each in found["targets"][0]["conditions"] if each["condition"] == "Query"]
        return dict(condition)

    assert (query()["result"], query()["detail"]) == ("ok", "ok on six")
    store.want({"a": "six"})
    assert query()["result"] == "notNeeded"


def test_schemas_definitions_and_the_reference_describe_it(store: Shop) -> None:
    manifest = json.loads(aliasctl(store, "schema", "AliasSet").stdout)
    gate = manifest["properties"]["spec"]["properties"]["gates"]["properties"]["multiple"]
    assert (gate["description"], gate["properties"]["of"]["minimum"]) == ("The rows come in batches.", 2)
    saved = json.loads(aliasctl(store, "schema", "Plan").stdout)
    assert saved["$defs"]["Step"]["properties"]["gateSpecification"]["properties"]["multiple"]["required"] == ["of"]
    generate = [*WITH_THE_GATE, sys.executable, "-m", "reconciler.generate", str(store.folder)]
    subprocess.run(generate, cwd=REPOSITORY, check=True)
    assert "| `spec.gates.multiple.of` | integer | The divisor. Minimum: 2. |" in (
        (store.folder / "docs/reference/manifests.md").read_text()
    )
    assert "a multiple gate needs of: a number" in ((store.folder / "crds/aliassets.aliasctl.dev.yaml").read_text())
