"""Gates at the command line: what is asked when, what is skipped aloud, what is waited for."""

from __future__ import annotations

import pytest

from reconciler.core.model import Row
from tests.cli.command import TIMEOUT, start
from tests.cli.shop import Shop

ROWS: list[Row] = [{"id": key, "vector": (float(key), 1.0, 0.0, 0.0)} for key in range(10)]


@pytest.fixture
def store(shop: Shop) -> Shop:
    """`a` is at `full`, and wanted at `half`, which has half the rows."""
    for name, rows in (("full", ROWS), ("half", ROWS[:5])):
        shop.admin.create_collection(name, shop.database, replicas=1, rows=rows)
    shop.point(a="full")
    shop.want({"a": "half"}, gates={"rows": {"minPercentOfCurrent": 90}})
    return shop


def test_a_plan_counts_only_when_it_is_asked_to(store: Shop) -> None:
    cheap = store.plan("--detailed-exitcode")
    assert cheap.code == 2
    assert "    ○ rows   not evaluated\n    ✓ loaded\n" in cheap.stdout
    assert 'Not evaluated yet: rows; "plan --gates all" evaluates them, and so does apply.' in cheap.stdout
    (step,) = store.plan("--format", "json").document["targets"][0]["steps"]
    assert [gate["gate"] for gate in step["gates"] if gate["result"] == "notEvaluated"] == ["rows"]
    thorough = store.plan("--gates", "all", "--format", "json")
    (step,) = thorough.document["targets"][0]["steps"]
    assert thorough.code == 3
    assert step["blocked"]["reason"] == "gateFailed"
    (gate,) = [gate for gate in step["gates"] if gate["gate"] == "rows"]
    assert (gate["result"], gate["figures"]) == ("fail", {"rows": 5, "currentRows": 10, "percent": 50.0})


def test_an_apply_asks_all_gates_before_it_writes(store: Shop) -> None:
    done = store.apply()
    assert (done.code, store.live) == (3, {"a": "full"})
    assert "half has 5 rows, 50 % of full (10); need ≥ 90 % (9); 4 rows short" in done.stdout


def test_a_gate_is_skipped_for_one_alias_aloud_and_on_the_record(store: Shop) -> None:
    plain = store.plan("--format", "json").document["digest"]
    planned = store.plan("--skip-gate", "rows:a", "--format", "json").document
    assert planned["digest"] != plain
    assert planned["targets"][0]["steps"][0]["skippedGates"] == ["rows"]
    done = store.apply("--skip-gate", "rows:a")
    assert (done.code, store.live) == (0, {"a": "half"})
    assert "    ! rows   SKIPPED\n    ✓ loaded\n" in done.stdout
    assert "gates skipped: rows" in done.stdout
    assert "! rows   SKIPPED" in store.run("history", "--alias", "a").stdout


@pytest.mark.parametrize(
    ("skipped", "message"),
    [
        (
            "rows",
            "'rows' is not GATE:ALIAS with GATE one of loaded, indexed, rows, freshness, schema, "
            "contract, access, canary, warm, hook",
        ),
        ("speed:a", "'speed:a' is not GATE:ALIAS"),
        ("rows:b", "--skip-gate rows:b: no set lists or covers it"),
        ("canary:a", '--skip-gate canary:a: alias "a" has no gate canary'),
    ],
)
def test_a_gate_that_cannot_be_skipped_is_said(store: Shop, skipped: str, message: str) -> None:
    done = store.plan("--skip-gate", skipped)
    assert (done.code, message in done.stderr) == (1, True), done.stderr


def test_apply_waits_for_a_gate_and_says_what_for(store: Shop) -> None:
    waiting = start(["apply", "-f", "aliases.yaml", "--yes", "--wait", "60s"], store.folder)
    assert waiting.stderr
    assert " left: a: rows: half has 5 rows" in waiting.stderr.readline()
    store.admin.insert("half", ROWS[5:], store.database)
    stdout, _ = waiting.communicate(timeout=TIMEOUT)
    assert (waiting.returncode, store.live) == (0, {"a": "half"}), stdout


def test_what_no_alias_points_at_is_reported_with_its_rows_and_since_when(store: Shop) -> None:
    store.apply("--skip-gate", "rows:a")
    idle = store.run("status", "-f", "aliases.yaml", "--unreferenced", "--format", "json").document["unreferenced"]
    by_name = {item["collection"]: item for item in idle}
    assert by_name["full"]["rows"] == 10
    assert by_name["full"]["since"].startswith("20")
    assert "half" not in by_name
    assert "since" not in by_name["v1"]
    text = store.run("status", "-f", "aliases.yaml", "--unreferenced").stdout
    assert "loaded collections without an alias. Nothing was changed." in text
