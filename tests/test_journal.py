"""The journal: what a run leaves behind, whatever happens to it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from reconciler.core.errors import JournalError, PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Credential, OnFailure, Propagation, Target, Verify
from reconciler.core.plan import GateResult, Plan, SetPlan, Step, TargetPlan, Verdict
from reconciler.core.report import ExitCode, Outcome, Report, StepResult
from reconciler.gates.contract import ContractGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.journal import Act, Journal, Origins, Run, RunState, appending
from reconciler.journal.lines import journal_schema
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults.memory import Recorder

ROOT = Path(__file__).parents[1]
TARGET = Target(LOCAL.address, "default")
MOVE = Step("shop", "a", "v1", "v2", current_id=1, desired_id=2, spec_hash="sha256:" + "0" * 64)
NOW = "2026-11-23T23:01:02.000Z"
ANN = Origins("ann", "ci-7", 4711, ("aliases/",), "apply")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


def plan_of(*steps: Step) -> Plan:
    return Plan((TargetPlan(TARGET, LOCAL, (SetPlan("shop", steps),)),), NOW, "1.0")


def done(step: Step, outcome: Outcome = Outcome.DONE, message: str | None = None) -> StepResult:
    return StepResult(step, outcome, message=message, started=NOW, ended=NOW, wrote=True)


def ended(plan: Plan) -> Report:
    return Report(plan, (), NOW, NOW)


def begun(path: Path, *steps: Step, origins: Origins = ANN) -> Run:
    return Journal(path).begin(plan_of(*steps), origins)


def documents(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("folder", "Is a directory"),
        ("file/journal.jsonl", "Not a directory"),
        ("/dev/full", "it is not a file"),
        ("/proc/journal.jsonl", "No such file or directory"),
    ],
)
def test_without_a_journal_nothing_is_written_to_milvus(place: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / place
    made = server("v1", "v2", aliases={"a": "v1"})
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v2"})], catalogs=opened)
        with pytest.raises(JournalError) as raised:
            apply_plan(plan, catalogs=opened, journal=Journal(path))
    assert str(raised.value).startswith(f"{path}: the journal cannot be written: {reason}; name another file with ")
    assert raised.value.exit_code == ExitCode.ERROR
    assert live(made) == {"a": "v1"}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_at_the_start_or_in_between_keeps_calls_from_being_made(path: Path) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v2"})], catalogs=opened)
        with room_for(100), pytest.raises(JournalError, match="File too large"):
            apply_plan(plan, catalogs=opened, journal=Journal(path))
        start = Journal(path.with_name("measured"))
        start.begin(plan, ANN)
        with room_for(path.stat().st_size + start.path.stat().st_size + 1):
            report = apply_plan(plan, catalogs=opened, journal=Journal(path), origins=ANN)
        (result,) = report.results
        assert (result.outcome, result.code, report.exit_code) == (Outcome.FAILED, "JournalError", ExitCode.ERROR)
        assert "File too large" in (result.message or "")
        assert live(made) == {"a": "v1"}

        assert apply_plan(plan, catalogs=opened, journal=Journal(path)).exit_code is ExitCode.DONE
    recorded = Journal(path).read()
    assert [run.end is not None for run in recorded.runs] == [False, True], "the first one never began"
    assert recorded.runs[1].steps[0].outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("verify", "meanwhile", "outcome", "code"),
    [
        (Verify(), "v1", Outcome.DONE, ExitCode.INCOMPLETE),
        (Verify(propagation=Propagation(0.1)), "v1", Outcome.DONE, ExitCode.INCOMPLETE),
        (Verify(), "v2", Outcome.NOOP, ExitCode.ERROR),
    ],
    ids=["moved", "moved and proved", "there already"],
)
def test_an_outcome_that_cannot_be_written_down_is_told_and_not_all_well(
    path: Path, verify: Verify, meanwhile: str, outcome: Outcome, code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    write, full = os.write, iter([True])

    def fills_up(file: int, data: bytes) -> int:
        if b'"event":"result"' in data and next(full, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", fills_up)
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v2"}, verify=verify)], catalogs=opened)
        made.connect(LOCAL, "default").alter_alias("a", meanwhile)
        report = apply_plan(plan, catalogs=opened, journal=Journal(path), origins=ANN)
    (result,) = report.results
    assert (result.outcome, result.code, report.exit_code) == (outcome, "JournalError", code)
    assert "No space left on device" in (result.message or "")
    assert live(made) == {"a": "v2"}


def test_half_a_character_from_anywhere_spoils_no_line(path: Path) -> None:
    """Such as in the name of a file that is not UTF-8, of a user, or in what a server says."""
    step = replace(MOVE, gate_results=(GateResult("contract", Verdict.FAIL, "\udcff", {"model": "\ud800"}),))
    run = begun(path, step, origins=replace(ANN, user="\udcfc", source=("ali\udcffases/", "große/")))
    run.intend(TARGET, step, Act.MOVE)
    run.note(TARGET, done(step, message="it said: \udfff 😀"))
    run.end(ended(plan_of(step)))
    recorded = Journal(path).read()
    assert recorded.unreadable == 0
    (past,) = recorded.runs
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


def test_a_journal_that_stays_locked_is_not_waited_for_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(path, MOVE)
    monkeypatch.setattr(appending, "LOCK_SECONDS", 0)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(JournalError, match="another process keeps it locked"):
            run.intend(TARGET, MOVE, Act.MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)


def test_what_is_too_long_for_a_line_is_not_begun(path: Path) -> None:
    huge = replace(MOVE, gates=Gates(ContractGate({"k": "x" * 2_000_000})))
    run = begun(path, huge)
    with pytest.raises(JournalError, match='line about alias "a" would be'):
        run.intend(TARGET, huge, Act.MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    run.note(TARGET, done(MOVE, Outcome.FAILED, "x" * 2_000_000))
    (step,) = Journal(path).runs()[0].steps
    assert step.result
    assert len(step.result.message or "") < 10_000


def test_a_torn_last_line_costs_nothing_but_itself(path: Path) -> None:
    """A crash may leave any part of a line; whoever writes next starts on a line of its own."""
    run = begun(path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last + 1, len(whole) + 1, 7):
        path.write_bytes(whole[:length])
        before = Journal(path).read()
        assert (len(before.runs), before.unreadable) == (1, 0), "half a line may be one that is being written"
        begun(path, MOVE).note(TARGET, done(MOVE))
        after = Journal(path).read()
        assert after.runs[0].id == run.id
        assert [len(run.steps) for run in after.runs[1:]] == [1]
        torn = length < len(whole) - 1
        assert after.unreadable + len(after.runs[0].steps) == 1
        assert after.unreadable == 0 or torn


def test_lines_of_others_and_of_later_versions_are_passed_over_and_counted(path: Path) -> None:
    run = begun(path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    run.note(TARGET, done(MOVE))
    intent, result = (json.loads(line) for line in path.read_bytes().splitlines()[-2:])
    others = [
        json.dumps(result | {"event": "celebrated"}),
        json.dumps(result | {"weather": "fine"}),
        json.dumps({key: value for key, value in result.items() if key != "set"}),
        json.dumps(dict(reversed(intent.items()))),
        json.dumps(result | {"run": "nobody"}),
        "null",
        "not json",
        "[" * 100_000,
        "x" * 3_000_000,
        '{"kind":"Journal"}',
        '{"kind":"Journal","formatVersion":1,"event":"runStarted","run":"half","time":"2026"}',
        '{"kind":"Journal","formatVersion":1,"event":"runEnded","run":"half","time":3}',
        "\0" * 500,
        json.dumps(result | {"formatVersion": 3, "outcome": "reverted", "run": "later"}),
    ]
    with path.open("a") as file:
        file.writelines(line + "\n" for line in others)
    journal = Journal(path)
    recorded = journal.read()
    assert [run.id for run in recorded.runs] == [run.id]
    (step,) = recorded.runs[0].steps
    assert (step.begun, step.outcome) == (Act.MOVE, Outcome.DONE), "the intent that was written again counts"
    assert recorded.newer == 1
    assert recorded.unreadable == 8
    assert journal.decisions().rejected == {}


def test_a_journal_that_does_not_exist_yet_is_empty_and_stays_so(path: Path) -> None:
    journal = Journal(path)
    assert (journal.runs(), journal.decisions().rejected, path.parent.exists()) == ([], {}, False)


def test_a_journal_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for ask in (Journal(tmp_path).runs, Journal(tmp_path).decisions):
        with pytest.raises(JournalError, match="cannot be read: Is a directory"):
            ask()


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
    recorded = Journal(path).read()
    assert recorded.unreadable == 0
    assert len(recorded.runs) == 3
    for run in recorded.runs:
        assert run.state is RunState.ENDED
        assert {past.step.alias for past in run.steps} == {f"alias_{number}" for number in range(40)}
        assert {past.outcome for past in run.steps} == {Outcome.DONE}


def test_threads_that_wait_share_a_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(path, MOVE)
    syncs: Counter[str] = Counter()
    sync = os.fsync

    def slow_sync(file: int) -> None:
        sleep(0.005)
        sync(file)
        syncs["made"] += 1

    monkeypatch.setattr(os, "fsync", slow_sync)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run.intend(TARGET, MOVE, Act.MOVE), range(160)))
    assert len(path.read_bytes().splitlines()) == 3 + 160
    assert syncs["made"] < 80


def test_after_a_failed_sync_nothing_counts_as_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may report a lost page once only: the next sync succeeding would say nothing."""
    run = begun(path, MOVE)

    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(JournalError, match="Input/output error"):
            run.intend(TARGET, MOVE, Act.MOVE)
    with pytest.raises(JournalError, match="an earlier write did not reach the disk"):
        run.intend(TARGET, MOVE, Act.MOVE)
    run.end(ended(plan_of(MOVE)))


KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.journal import Journal
from reconciler.core.model import Alias
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, server
from tests.faults.memory import Recorder

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
    text = path.read_text()
    year = text[text.index('"time":"') + 8 :][:4]
    path.write_text(text.replace(f'"time":"{year}', '"time":"2020'))
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
    before = path.stat().st_size
    other.decide_revert(TARGET, [MOVE, replace(MOVE, alias="b")], "it was slow")
    whole = path.read_bytes()
    path.write_bytes(whole[: before + 100])
    assert mine.rejected({"a"}) == {}, "half a line may be one that is being written"
    path.write_bytes(whole)
    rejection = mine.rejected({"a"})[TARGET, "a"]
    assert (rejection.collection, rejection.reason, rejection.run) == ("v2", "it was slow", other.id)
    assert mine.rejected({"c"}) == {}
    assert other.rejected({"a"}) == {}, "what a run has decided itself is no news to it"


def test_a_decision_to_revert_is_on_the_disk_before_the_first_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))
    synced: list[int] = []
    sync = os.fsync
    decided: list[bool] = []

    def note_sync(file: int) -> None:
        sync(file)
        synced.append(path.stat().st_size)

    monkeypatch.setattr(os, "fsync", note_sync)

    def look(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            raise PermissionDenied("no")
        if (method, alias) == ("alter", "a"):
            decided.append(b'"event":"revertDecided"' in path.read_bytes()[: max(synced)])

    recorder.before = look
    desired = alias_set({"a": "v2"}, Alias("b", "v2", wave=1), on_failure=OnFailure.REVERT)
    with recorder.catalogs() as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, journal=Journal(path))
    assert decided == [False, True]
