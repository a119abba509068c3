"""Files of format version 1, as the version before wrote them: migrated, or refused, and never misread."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidInput
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, OnFailure
from reconciler.core.plan import BlockReason
from reconciler.core.report import Outcome
from reconciler.documents.migration import migrated
from reconciler.documents.plan_file import load_plan
from reconciler.documents.report_file import load_report
from reconciler.gates.rows import RowsGate
from reconciler.journal import Journal
from reconciler.reconcile import make_plan
from tests.builders import LOCAL, alias_set, catalogs, server

V1 = Path(__file__).parent / "v1"
SPEC_HASH = "sha256:bc07be46f98b5c6068d73580bec3342fd4559010860a4adc24a5e9b03fddf298"
OUTCOMES = {
    "a": (Outcome.REVERTED, None),
    "b": (Outcome.FAILED, None),
    "c": (Outcome.DONE, None),
    "d": (Outcome.BLOCKED, BlockReason.COLLECTION_MISSING),
    "e": (Outcome.BLOCKED, BlockReason.COLLECTION_IS_ALIAS),
}


def test_a_plan_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"plan format 1 is not the one this aliasctl reads \(2\); plan again"):
        load_plan(V1 / "plan.json")


def test_a_report_is_migrated() -> None:
    report = load_report(V1 / "report.json")
    found = {item.step.alias: (item.outcome, item.step.blocked and item.step.blocked.reason) for item in report.results}
    assert found == OUTCOMES
    assert {item.step.alias: item.step.spec_hash for item in report.results if item.step.spec_hash} == {
        "a": SPEC_HASH,
        "b": SPEC_HASH,
    }


def test_a_damaged_report_is_refused_under_its_new_names(tmp_path: Path) -> None:
    document = json.loads((V1 / "report.json").read_text())
    document["targets"][0]["steps"][0]["wish"] = 5
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match=r"not a valid report: \$\.targets\[0\]\.steps\[0\]\.specHash: Expected str"):
        load_report(tmp_path / "report.json")


def v1_journal(folder: Path) -> Journal:
    """A copy of a text journal of version 1, which is imported at its first use."""
    return Journal(Path(shutil.copy(V1 / "journal.jsonl", folder)))


def test_a_journal_is_migrated(tmp_path: Path) -> None:
    (run,) = v1_journal(tmp_path).runs()
    found = {
        item.step.alias: (item.outcome, item.step.blocked and item.step.blocked.reason)
        for item in run.steps
        if item.outcome
    }
    assert found == OUTCOMES
    assert run.end
    assert run.end.counts == {Outcome.BLOCKED: 2, Outcome.DONE: 1, Outcome.FAILED: 1, Outcome.REVERTED: 1}


@pytest.mark.parametrize(("wave", "blocked"), [(1, BlockReason.REJECTED), (2, None)], ids=["the same spec", "another"])
def test_a_journal_still_rejects_what_was_reverted(wave: int, blocked: BlockReason | None, tmp_path: Path) -> None:
    made = server("old", "new", aliases={"a": "old", "b": "old"})
    rows = Gates(RowsGate(min=0))
    desired = alias_set({}, Alias("a", "new", gates=rows), Alias("b", "new", wave=wave), on_failure=OnFailure.REVERT)
    with catalogs(made) as opened:
        plan = make_plan([desired], catalogs=opened, journal=v1_journal(tmp_path))
    step = plan.steps[0]
    assert plan.targets[0].target.address == LOCAL.address
    assert (step.alias, step.blocked and step.blocked.reason) == ("a", blocked)


def test_a_journal_takes_entries_of_both_versions(tmp_path: Path) -> None:
    journal = v1_journal(tmp_path)
    made = server("old", "new", aliases={"a": "old"})
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "new"})], catalogs=opened)
        journal.begin(plan, journal.runs()[0].origins)
    assert [len(run.steps) for run in journal.runs()] == [5, 0]
    assert journal.damaged == 0


def test_the_figure_of_a_gate_is_renamed_too() -> None:
    figures = {"state": "Loaded", "replicas": 1, "wantedReplicas": 2}
    (gate,) = migrated({"gates": [{"gate": "loaded", "figures": figures}]})["gates"]
    assert gate["figures"] == {"state": "Loaded", "replicas": 1, "desiredReplicas": 2}


def test_what_users_name_keeps_its_name() -> None:
    gates = [{"gate": "contract", "result": "pass", "detail": "", "figures": {"wish": "wayBack"}}]
    specification = {"contract": {"properties": {"unverified": "wish"}}}
    step = {"wayBack": True, "gates": gates, "gateSpecification": specification, "blocked": {"reason": "protected"}}
    assert migrated(step) == {
        "reverting": True,
        "gates": gates,
        "gateSpecification": specification,
        "blocked": {"reason": "protected"},
    }
