"""What was moved and not verified is reported until it is verified, and is not forgotten by looking away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.catalog.memory import MemoryServer
from reconciler.core.errors import ExitCode, PermissionDenied, UnexpectedAnswer
from reconciler.core.model import Row
from reconciler.core.reasons import Reason
from reconciler.git import Access, Signers
from reconciler.journal import Journal
from reconciler.manifest import Overrides
from reconciler.sync.agent import Agent
from reconciler.sync.finding import Finding
from reconciler.sync.notifying import Notifications
from reconciler.sync.settings import Settings
from tests.builders import LOCAL, live
from tests.cli.shop import alias_set, connection, manifest
from tests.faults.memory import Recorder
from tests.sync.origin import Origin
from tests.sync.stage import FILE, Stage

SOAK = {"soak": "300ms"}


@dataclass
class Trial:
    """A repository, a Milvus in memory, and an agent between them that is in the test's own process."""

    origin: Origin
    recorder: Recorder
    folder: Path
    agent: Agent

    def merge(self, collection: str, *more: Any, **spec: Any) -> str:
        commit = self.origin.commit({FILE: manifest(alias_set({"a": collection}, **spec), *more)})
        self.origin.push()
        return commit

    def other_commit(self) -> str:
        commit = self.origin.commit({"README.md": self.origin.head})
        self.origin.push()
        return commit

    def reconcile(self) -> Finding:
        return self.agent.reconcile()

    def restart(self) -> None:
        self.agent = new_agent(self.origin, self.recorder, self.folder)

    def spoil(self) -> None:
        """Reads through the alias fail from now on."""

        def fail(method: str, name: str) -> None:
            if (method, name) == ("sample_keys", "a"):
                raise UnexpectedAnswer("segment is broken")

        self.recorder.before = fail

    def mend(self) -> None:
        self.recorder.before = lambda method, name: None

    @property
    def live(self) -> dict[str, str]:
        return live(self.recorder.server)

    @property
    def runs(self) -> int:
        return len(Journal(self.folder / "journal.db").runs())


def new_agent(origin: Origin, recorder: Recorder, folder: Path) -> Agent:
    settings = Settings(
        access=Access(str(origin.bare)),
        ref="main",
        path="aliases",
        connections=folder / "connections.yaml",
        overrides=Overrides(),
        signers=Signers(),
        interval=60.0,
        state=folder / "state",
        max_fetch_mib=64,
    )
    settings.state.mkdir(exist_ok=True)
    repository = settings.mirror(Event())
    repository.prepare()
    journal = Journal(folder / "journal.db")
    return Agent(settings, repository, journal, recorder.connect, Event(), Event(), Notifications(journal, tuple))


@pytest.fixture
def trial(origin: Origin, tmp_path: Path) -> Trial:
    """The alias is at the old collection, and no reader of the next one will be served."""
    server = MemoryServer()
    for number, name in enumerate(("old", "new", "newer")):
        server.create_collection(name, rows=[{"id": number, "vector": (0.0, 0.0, 0.0, 1.0)}])
    server.connect(LOCAL, "default").create_alias("a", "old")
    (tmp_path / "connections.yaml").write_text(manifest(connection(LOCAL.uri)))
    recorder = Recorder(server)
    trial = Trial(origin, recorder, tmp_path, new_agent(origin, recorder, tmp_path))
    trial.merge("old")
    assert trial.reconcile().reason is Reason.SUCCEEDED
    trial.spoil()
    return trial


def insist_on_trouble(trial: Trial) -> Finding:
    found = trial.reconcile()
    assert (found.reason, found.exit_code, trial.live) == (
        Reason.VERIFICATION_FAILED,
        ExitCode.INCOMPLETE,
        {"a": "new"},
    )
    assert '"a": ' in found.message
    assert "segment is broken" in found.message
    return found


def test_a_failed_soak_is_reported_until_it_is_verified_and_no_commit_counts_as_applied_before(trial: Trial) -> None:
    before = trial.agent.applied
    commit = trial.merge("new", verify=SOAK)
    for _ in range(4):
        insist_on_trouble(trial)
    trial.restart()
    insist_on_trouble(trial)
    later = trial.other_commit()
    found = insist_on_trouble(trial)
    assert (found.attempted, found.in_force, trial.agent.applied) == (later, later, before)
    assert commit != before
    trial.mend()
    trial.restart()
    assert (trial.reconcile().reason, trial.agent.applied) == (Reason.SUCCEEDED, later)
    assert trial.reconcile().reason is Reason.SUCCEEDED


def test_another_wish_ends_it(trial: Trial) -> None:
    trial.merge("new", verify=SOAK)
    insist_on_trouble(trial)
    trial.mend()
    commit = trial.merge("newer", verify=SOAK)
    found = trial.reconcile()
    assert (found.reason, trial.live, trial.agent.applied) == (Reason.SUCCEEDED, {"a": "newer"}, commit)


def test_it_is_verified_again_less_and_less_often_and_at_once_at_the_next_commit(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("reconciler.sync.pace.time", SimpleNamespace(monotonic=lambda: now))
    trial.merge("new", verify=SOAK)
    tried = []
    for _ in range(40):
        before = trial.runs
        insist_on_trouble(trial)
        if trial.runs > before:
            tried.append(now - 1000)
        now += 60
    assert tried == [0, 60, 120, 240, 480, 960, 1920]
    trial.other_commit()
    before = trial.runs
    insist_on_trouble(trial)
    assert trial.runs == before + 1


def test_a_wave_behind_it_waits_and_does_not_have_it_verified_over_and_over(trial: Trial) -> None:
    waves: dict[str, Any] = {"a": "new", "b": {"collection": "newer", "wave": 1}}
    trial.origin.commit({FILE: manifest(alias_set(waves, verify=SOAK))})
    trial.origin.push()
    for _ in range(4):
        insist_on_trouble(trial)
    assert trial.runs == 2  # the move, and the one repetition that is made at once
    trial.mend()
    trial.restart()
    assert (trial.reconcile().reason, trial.live) == (Reason.SUCCEEDED, {"a": "new", "b": "newer"})


def test_what_is_to_be_moved_does_not_wait_for_the_next_time(trial: Trial) -> None:
    trial.merge("new", verify=SOAK)
    for _ in range(3):
        insist_on_trouble(trial)
    trial.recorder.server.connect(LOCAL, "default").alter_alias("a", "newer")
    found = trial.reconcile()
    assert found.report
    assert (found.report.wrote, trial.live) == (True, {"a": "new"})


def test_a_set_whose_drift_is_only_reported_is_verified_and_never_moved(trial: Trial) -> None:
    trial.merge("new", verify=SOAK, drift="Report")
    for _ in range(3):
        insist_on_trouble(trial)
    trial.recorder.server.connect(LOCAL, "default").alter_alias("a", "old")
    for _ in range(2):
        assert (trial.reconcile().reason, trial.live) == (Reason.DRIFT_DETECTED, {"a": "old"})
    trial.restart()
    assert (trial.reconcile().reason, trial.live) == (Reason.DRIFT_DETECTED, {"a": "old"})


def test_a_set_that_waits_beside_it_does_not_hide_it(trial: Trial) -> None:
    trial.merge("new", alias_set({"b": "nowhere"}, name="stuck"), verify=SOAK)
    for _ in range(4):
        found = insist_on_trouble(trial)
        assert '"b": ' in found.message


def test_readers_that_stay_with_the_old_collection_are_reported_too(trial: Trial) -> None:
    trial.mend()
    trial.recorder.server.stick_readers("a", alters=100)
    trial.merge("new", verify={"propagation": {"timeout": "300ms"}})
    for _ in range(3):
        assert (trial.reconcile().reason, trial.live) == (Reason.VERIFICATION_FAILED, {"a": "new"})
    trial.recorder.server.unstick_readers("a")
    trial.restart()
    assert trial.reconcile().reason is Reason.SUCCEEDED


def test_readers_that_the_move_denied_are_reported_until_they_may_read(trial: Trial) -> None:
    def deny(method: str, name: str) -> None:
        if (method, name) == ("rows", "a") and trial.recorder.writes:
            raise PermissionDenied("the privilege Query is missing", privilege="Query")

    trial.recorder.before = deny
    trial.recorder.server.version = "v2.6.13"
    trial.merge("new", verify={"propagation": {"timeout": "10s"}})
    for _ in range(3):
        found = trial.reconcile()
        assert (found.reason, found.exit_code, trial.live) == (
            Reason.VERIFICATION_FAILED,
            ExitCode.INCOMPLETE,
            {"a": "new"},
        )
        assert "denied now: the privilege Query is missing" in found.message
        trial.restart()
    trial.mend()
    assert trial.reconcile().reason is Reason.SUCCEEDED


def test_the_agent_tells_it_in_its_status_metrics_and_exit_code(stage: Stage) -> None:
    for name in ("old", "new"):
        rows: list[Row] = [{"id": 1, "vector": (1.0, 0.0, 0.0, 0.0)}]
        stage.shop.admin.create_collection(name, stage.shop.database, replicas=1, rows=rows)
    stage.shop.move(a="old")
    good = stage.merge({"a": "old"})
    assert stage.once().code == 0
    with stage.following() as agent:
        bad = stage.merge({"a": "new"}, verify={"soak": "5s"})
        agent.event("monitoring 1 alias for 5s")
        stage.shop.admin.release("new", stage.shop.database)
        agent.found("VerificationFailed", bad, failed=1)
        agent.looks(3)
        status = agent.status
        assert (status["reason"], status["applied"]) == ("VerificationFailed", good)
        assert agent.metric('aliasctl_sync_reason{reason="VerificationFailed"}') == 1
        assert agent.metric("aliasctl_sync_synced") == 0
    for _ in range(2):
        done = stage.once()
        assert (done.code, stage.shop.live) == (5, {"a": "new"})
        assert "VerificationFailed" in done.stderr
    stage.shop.admin.load("new", stage.shop.database)
    assert stage.once().code == 0


def test_a_soak_that_is_cut_short_is_made_up_for_at_the_next_start(stage: Stage) -> None:
    with stage.following() as agent:
        stage.merge({"a": "v2"}, verify={"soak": "5s"})
        agent.event("monitoring 1 alias for 5s")
    done = stage.once()
    assert (done.code, stage.shop.live) == (0, {"a": "v2"})
    assert "verifying moves of earlier runs: a" in done.stderr
    assert "verifying" not in stage.once().stderr


class Killed(BaseException):
    """Ends the agent without any of its clean-up."""


def test_a_revert_that_died_with_the_agent_is_completed_by_the_next_one(trial: Trial) -> None:
    before = trial.agent.applied
    trial.merge("new", verify=SOAK, onFailure="Revert")
    alters: list[str] = []

    def spoil_and_die(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a"):
            raise UnexpectedAnswer("segment is broken")
        if method == "alter":
            alters.append(name)
            if len(alters) == 2:
                raise Killed

    trial.recorder.before = spoil_and_die
    with pytest.raises(Killed):
        trial.reconcile()
    assert trial.live == {"a": "new"}
    trial.mend()
    trial.restart()
    found = trial.reconcile()
    assert (found.reason, found.exit_code, trial.live) == (Reason.REJECTED, ExitCode.INCOMPLETE, {"a": "old"})
    assert trial.agent.applied == before
    trial.recorder.journal.clear()
    found = trial.reconcile()
    assert (found.reason, trial.live, trial.recorder.writes) == (Reason.REJECTED, {"a": "old"}, [])
    assert "segment is broken" in found.message
