"""The journal: what a run leaves behind, whatever happens to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from reconciler.core.decide import conclude
from reconciler.core.errors import ExitCode, JournalError, PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Credential, OnFailure, Propagation, Target, Verify
from reconciler.core.plan import GateResult, Plan, SetPlan, Step, TargetPlan, Verdict
from reconciler.core.reasons import Reason
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.documents.report_file import report_document
from reconciler.gates.contract import ContractGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.journal import Act, Journal, Origins, RunState
from reconciler.journal.entries import journal_schema
from reconciler.journal.recording import Run
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults.memory import Recorder
from tests.journals import documents, rows, write

ROOT = Path(__file__).parents[1]
TARGET = Target(LOCAL.address, "default")
MOVE = Step("shop", "a", "v1", "v2", current_id=1, desired_id=2, spec_hash="sha256:" + "0" * 64)
NOW = "2026-11-23T23:01:02.000Z"
ANN = Origins("ann", "ci-7", 4711, ("aliases/",), "apply")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def plan_of(*steps: Step) -> Plan:
    return Plan((TargetPlan(TARGET, LOCAL, (SetPlan("shop", steps),)),), NOW, "1.0")


def done(step: Step, outcome: Outcome = Outcome.DONE, message: str | None = None) -> StepResult:
    return StepResult(step, outcome, message=message, started=NOW, ended=NOW, wrote=True)


def ended(plan: Plan) -> Report:
    return Report(plan, (), NOW, NOW)


def begun(path: Path, *steps: Step, origins: Origins = ANN) -> Run:
    return Journal(path).begin(plan_of(*steps), origins)


def test_a_run_can_be_told_from_what_it_left(path: Path) -> None:
    """Through the front door: who, from what, to where; each step with its ids, gates and outcome; no secret."""
    connection = replace(LOCAL, token=Credential(env="TOKEN"))
    gates = Gates(LoadedGate(), RowsGate(max=100))
    a = Alias("a", "v2", gates=gates)
    desired = alias_set({"new": "v2", "old": None, "bad": "v9"}, a, connection=connection)
    made = server("v1", "v2", aliases={"a": "v1", "old": "v1"})
    with catalogs(made) as opened:
        plan = make_plan([desired], catalogs=opened)
        report = apply_plan(plan, catalogs=opened, journal=Journal(path), origins=ANN)

    for document in documents(path):
        Draft202012Validator(journal_schema()).validate(document)
    (run,) = Journal(path).runs()
    assert run.id == report.run
    assert (run.origins, run.digest, run.state) == (ANN, plan.digest, RunState.ENDED)
    assert run.end
    assert (run.end.exit_code, run.end.counts) == (ExitCode.INCOMPLETE, report.counts)
    (target,) = run.targets
    assert target.target == TARGET
    assert target.connection.token == Credential(env="TOKEN")
    recorded = {past.step.alias: past for past in run.steps}
    assert [recorded[result.step.alias].result for result in report.results] == list(report.results)
    assert recorded["a"].step.current_id
    assert (recorded["a"].step.gates, len(recorded["a"].step.gate_results)) == (gates, 2)
    assert [past.step.alias for past in run.steps_of("new")] == ["new"]


def test_an_intent_is_on_the_disk_before_its_call_and_the_outcome_after(path: Path) -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1"}))
    seen = []

    def look(method: str, alias: str) -> None:
        if method == "alter":
            seen.append([(line["event"], line.get("act")) for line in documents(path)][-1])

    recorder.before = recorder.after = look
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({"a": "v2"})], catalogs=opened)
        apply_plan(plan, catalogs=opened, journal=Journal(path))
    assert seen == [("intent", "move")] * 2
    assert [line["event"] for line in documents(path)[-2:]] == ["result", "runEnded"]


def test_a_revert_is_intended_too(path: Path) -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))

    def refuse(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            raise PermissionDenied("no")

    recorder.before = refuse
    desired = alias_set({"a": "v2"}, Alias("b", "v2", wave=1), on_failure=OnFailure.REVERT)
    with recorder.catalogs() as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, journal=Journal(path))
    intents = [(line["act"], line["alias"]) for line in documents(path) if line["event"] == "intent"]
    assert intents == [("move", "a"), ("move", "b"), ("revert", "a")]


def refuse(path: Path, condition: str) -> None:
    """Let writes of some entries fail, as on a full disk."""
    begun(path, MOVE).end(ended(plan_of(MOVE)))
    reason = "SELECT RAISE(ABORT, 'No space left on device')"
    rows(path, f"CREATE TRIGGER full BEFORE INSERT ON entry WHEN {condition} BEGIN {reason}; END")


@pytest.mark.parametrize(
    ("moved_to", "code"), [("v1", ExitCode.INCOMPLETE), ("v2", ExitCode.ERROR)], ids=["moved", "there already"]
)
def test_a_run_whose_end_cannot_be_recorded_is_not_complete(path: Path, moved_to: str, code: ExitCode) -> None:
    """All was done, and the record has a run that was interrupted."""
    refuse(path, "NEW.event = 'runEnded'")
    made = server("v1", "v2", aliases={"a": "v1"})
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v2"})], catalogs=opened)
        made.connect(LOCAL, "default").alter_alias("a", moved_to)
        report = apply_plan(plan, catalogs=opened, journal=Journal(path))
    reason = "the journal cannot be written: No space left on device"
    assert (report.exit_code, reason in report.journal_error) == (code, True)
    assert report_document(report)["journalError"] == report.journal_error
    assert conclude(report)[0] is Reason.STORAGE_OPERATION_FAILED
    assert Journal(path).runs()[-1].state is RunState.RUNNING


@pytest.mark.parametrize(
    ("verify", "moved_to", "outcome", "code"),
    [
        (Verify(), "v1", Outcome.DONE, ExitCode.INCOMPLETE),
        (Verify(propagation=Propagation(0.1)), "v1", Outcome.DONE, ExitCode.INCOMPLETE),
        (Verify(), "v2", Outcome.NOOP, ExitCode.ERROR),
    ],
    ids=["moved", "moved and proved", "there already"],
)
def test_an_outcome_that_cannot_be_recorded_is_reported_and_not_all_well(
    path: Path, verify: Verify, moved_to: str, outcome: Outcome, code: ExitCode
) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    refuse(path, "NEW.outcome IS NOT NULL")
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v2"}, verify=verify)], catalogs=opened)
        made.connect(LOCAL, "default").alter_alias("a", moved_to)
        report = apply_plan(plan, catalogs=opened, journal=Journal(path), origins=ANN)
    (result,) = report.results
    assert (result.outcome, result.code, report.exit_code) == (outcome, "JournalError", code)
    assert "No space left on device" in (result.message or "")
    assert live(made) == {"a": "v2"}


def test_half_a_character_from_anywhere_spoils_no_entry(path: Path) -> None:
    """Such as in the name of a file that is not UTF-8, of a user, or in what a server says."""
    step = replace(MOVE, gate_results=(GateResult("contract", Verdict.FAIL, "\udcff", {"model": "\ud800"}),))
    run = begun(path, step, origins=replace(ANN, user="\udcfc", source=("ali\udcffases/", "große/")))
    run.intend(TARGET, step, Act.MOVE)
    run.note(TARGET, done(step, message="it said: \udfff 😀"))
    run.end(ended(plan_of(step)))
    (past,) = Journal(path).runs()
    assert past.origins.source == ("ali\N{REPLACEMENT CHARACTER}ases/", "große/")
    (item,) = past.steps
    assert item.result
    assert (item.outcome, item.result.message) == (Outcome.DONE, "it said: \N{REPLACEMENT CHARACTER} 😀")
    assert past.end


def test_a_repeated_alter_leaves_no_doubt_where_the_alias_is_and_a_revert_does(path: Path) -> None:
    """As the record ends after each of them."""
    run = begun(path, MOVE)
    for act, open_call in ((Act.MOVE, Act.MOVE), (Act.HEAL, None), (Act.REVERT, Act.REVERT)):
        run.intend(TARGET, MOVE, act)
        (step,) = Journal(path).runs()[0].steps
        assert step.begun is open_call
        run.note(TARGET, done(MOVE))
        (step,) = Journal(path).runs()[0].steps
        assert (step.begun, step.outcome) == (None, Outcome.DONE)


def test_an_entry_that_is_too_large_is_not_begun(path: Path) -> None:
    huge = replace(MOVE, gates=Gates(ContractGate({"k": "x" * 2_000_000})))
    run = begun(path, huge)
    with pytest.raises(JournalError, match=r'entry about alias "a" would have 2,000,'):
        run.intend(TARGET, huge, Act.MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    run.note(TARGET, done(MOVE, Outcome.FAILED, "x" * 2_000_000))
    (step,) = Journal(path).runs()[0].steps
    assert step.result
    assert len(step.result.message or "") < 10_000


def test_a_journal_that_does_not_exist_yet_is_empty_and_stays_so(path: Path) -> None:
    journal = Journal(path)
    assert (journal.runs(), journal.decisions().rejected, path.parent.exists()) == ([], {}, False)


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from msgspec.structs import replace
from reconciler.journal import Act
from tests.test_journal import MOVE, TARGET, begun, done, ended, plan_of

run = begun(Path(sys.argv[1]), MOVE)
def one(number):
    step = replace(MOVE, alias=f"alias_{number}")
    run.intend(TARGET, step, Act.MOVE)
    run.note(TARGET, done(step))
with ThreadPoolExecutor(4) as pool:
    list(pool.map(one, range(40)))
run.end(ended(plan_of(MOVE)))
"""


def python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT)


def test_processes_and_threads_share_a_journal(path: Path) -> None:
    writers = [python(WRITER, str(path)) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    runs = Journal(path).runs()
    assert len(runs) == 3
    for run in runs:
        assert run.state is RunState.ENDED
        assert {past.step.alias for past in run.steps} == {f"alias_{number}" for number in range(40)}
        assert {past.outcome for past in run.steps} == {Outcome.DONE}


KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.journal import Journal
from reconciler.core.model import Alias
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, server
from tests.faults.memory import Recorder
from tests.journals import documents, rows, write

recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))
def die(method, alias):
    if (method, alias) == ("alter", "b"):
        os.kill(os.getpid(), signal.SIGKILL)
recorder.before = die
with recorder.catalogs() as opened:
    plan = make_plan([alias_set({"a": "v2"}, Alias("b", "v2", wave=1), Alias("c", "v2", wave=2))], catalogs=opened)
    apply_plan(plan, catalogs=opened, journal=Journal(Path(sys.argv[1])))
"""


def test_a_run_that_was_killed_says_what_it_had_begun(path: Path) -> None:
    assert python(KILLED, str(path)).wait(60) == -9
    (run,) = Journal(path).runs()
    assert (run.state, run.end) == (RunState.INTERRUPTED, None)
    steps = {past.step.alias: (past.outcome, past.begun) for past in run.steps}
    assert steps == {"a": (Outcome.DONE, None), "b": (None, Act.MOVE)}

    for host, pid, state in (
        ("elsewhere", run.origins.pid, RunState.UNFINISHED),
        (socket.gethostname(), os.getpid(), RunState.RUNNING),
    ):
        origins = replace(ANN, host=host, pid=pid)
        begun(path, MOVE, origins=origins)
        assert Journal(path).runs()[-1].state is state


def test_a_process_that_was_given_the_number_of_one_that_died_is_another(path: Path) -> None:
    begun(path, MOVE, origins=replace(ANN, host=socket.gethostname(), pid=os.getpid()))
    write(path, [entry | {"time": "2020" + entry["time"][4:]} for entry in documents(path)])
    assert Journal(path).runs()[0].state is RunState.INTERRUPTED


Told = tuple[str, Outcome]


@pytest.mark.parametrize(
    ("runs", "collection"),
    [
        ([[("v2", Outcome.DONE)]], None),
        ([[("v2", Outcome.DONE), ("v2", Outcome.REVERTED)]], "v2"),
        ([[("v2", Outcome.REVERTED)], [("v2", Outcome.DONE)]], None),
        ([[("v2", Outcome.REVERTED)], [("v2", Outcome.DONE), ("v2", Outcome.REVERTED)]], "v2"),
        ([[("v2", Outcome.REVERTED)], [("v2", Outcome.DONE), ("v2", Outcome.UNKNOWN)]], "v2"),
        ([[("v2", Outcome.REVERTED)], [("v2", Outcome.FAILED)]], "v2"),
        ([[("v2", Outcome.REVERTED)], [("v1", Outcome.DONE)]], "v2"),
        ([[("v2", Outcome.REVERTED)], [("v3", Outcome.DONE)]], "v2"),
        ([[("v2", Outcome.REVERTED)], [("v3", Outcome.REVERTED)]], "v3"),
        ([[("v2", Outcome.REVERTED), ("v2", Outcome.FAILED)]], "v2"),
        ([[("v2", Outcome.REVERTED), ("v2", Outcome.UNKNOWN)]], "v2"),
    ],
)
def test_what_had_to_be_moved_back_is_remembered_until_it_is_done(
    runs: Sequence[Sequence[Told]], collection: str | None, path: Path
) -> None:
    for told in runs:
        run = begun(path, MOVE)
        for desired, outcome in told:
            run.note(TARGET, done(replace(MOVE, desired=desired), outcome, "it was slow"))
        run.note(TARGET, done(replace(MOVE, alias="bystander", desired=desired)))
    rejected = Journal(path).decisions().rejected
    assert {key: rejection.collection for key, rejection in rejected.items()} == (
        {(TARGET, "a"): collection} if collection else {}
    )
    if collection == "v2":
        rejection = rejected[TARGET, "a"]
        assert (rejection.collection_id, rejection.spec_hash, rejection.reason) == (2, MOVE.spec_hash, "it was slow")
        assert rejection.run in {run.id for run in Journal(path).runs()}


def test_rejections_are_of_one_database(path: Path) -> None:
    other = Target("elsewhere:19530", "default")
    run = begun(path, MOVE)
    run.note(TARGET, done(MOVE, Outcome.REVERTED))
    run.note(other, done(MOVE))
    assert set(Journal(path).decisions().rejected) == {(TARGET, "a")}


def test_a_drop_that_was_undone_rejects_no_collection(path: Path) -> None:
    begun(path, MOVE).note(TARGET, done(replace(MOVE, desired=None), Outcome.REVERTED))
    assert Journal(path).decisions().rejected == {}


def test_a_run_learns_what_others_reject_once_it_is_written_down(path: Path) -> None:
    mine, other = begun(path, MOVE), begun(path, MOVE)
    mine.intend(TARGET, MOVE, Act.MOVE)
    assert mine.rejected({"a"}) == {}
    other.decide_revert(TARGET, [MOVE, replace(MOVE, alias="b")], "it was slow")
    rejection = mine.rejected({"a"})[TARGET, "a"]
    assert (rejection.collection, rejection.reason, rejection.run) == ("v2", "it was slow", other.id)
    assert mine.rejected({"c"}) == {}
    assert other.rejected({"a"}) == {}, "what a run has decided itself is no news to it"


def test_a_decision_to_revert_is_recorded_before_the_first_call(path: Path) -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))
    decided: list[bool] = []

    def look(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            raise PermissionDenied("no")
        if (method, alias) == ("alter", "a"):
            decided.append(any(entry["event"] == "revertDecided" for entry in documents(path)))

    recorder.before = look
    desired = alias_set({"a": "v2"}, Alias("b", "v2", wave=1), on_failure=OnFailure.REVERT)
    with recorder.catalogs() as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, journal=Journal(path))
    assert decided == [False, True]
