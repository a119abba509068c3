"""A wave that was moved and not verified is verified by the next run, before it moves anything behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.decisions import saved_with_decisions
from reconciler.core.errors import ExitCode, PermissionDenied, UnexpectedAnswer
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, OnFailure, Propagation, Verify
from reconciler.core.options import Options
from reconciler.core.plan import Plan
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.core.run_events import RunEvent, SoakStarted, VerificationStarted
from reconciler.documents.plan_file import load_plan, plan_document
from reconciler.documents.report_file import report_document
from reconciler.gates.loaded import LoadedGate
from reconciler.journal import Act, Journal, Origins
from reconciler.reconcile import apply_plan, make_plan
from reconciler.render.results import plan_result, report_result
from reconciler.render.view import plan_view
from tests.builders import LOCAL, alias_set, catalogs, live
from tests.faults.memory import Recorder

BEFORE = {"canary": "old", "prod": "old"}
SOAK = Verify(soak=0.3)
LONG = Verify(soak=60.0)


class Shop:
    """A canary in wave 0, production in wave 1, and a journal."""

    def __init__(self, folder: Path, flavour: Flavour = Flavour.MILVUS_2_6) -> None:
        self.server = MemoryServer(flavour)
        for number, name in enumerate(("old", "new", "newer")):
            self.server.create_collection(name, rows=[{"id": number, "vector": (0.0, 0.0, 0.0, 1.0)}])
        catalog = self.server.connect(LOCAL, "default")
        for alias, collection in BEFORE.items():
            catalog.create_alias(alias, collection)
        self.recorder = Recorder(self.server)
        self.journal = Journal(folder / "journal.db")
        self.events: list[RunEvent] = []

    @property
    def live(self) -> dict[str, str]:
        return live(self.server)

    def plan(self, desired: AliasSet, options: Options = Options()) -> Plan:
        with self.recorder.catalogs() as opened:
            return make_plan([desired], options, catalogs=opened, journal=self.journal)

    def apply(self, desired: AliasSet, options: Options = Options(), *, seconds: float = 0.0) -> Report:
        """Plan and apply; `seconds` after which it is stopped."""
        stop = Event()

        def on_event(event: RunEvent) -> None:
            """Stop the run so many seconds after it began to watch or verify: everything before may take any time."""
            self.events.append(event)
            if seconds and isinstance(event, SoakStarted | VerificationStarted):
                Timer(seconds, stop.set).start()

        with self.recorder.catalogs() as opened:
            plan = make_plan([desired], options, catalogs=opened, journal=self.journal)
            return apply_plan(plan, catalogs=opened, journal=self.journal, stop=stop, on_event=on_event)

    def spoil(self, alias: str) -> None:
        """Reads through an alias fail from now on."""

        def fail(method: str, name: str) -> None:
            if (method, name) == ("sample_keys", alias):
                raise UnexpectedAnswer("segment is broken")

        self.recorder.before = fail

    def mend(self) -> None:
        self.recorder.before = lambda method, name: None


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def spec_hash(verify: Verify = SOAK, on_failure: OnFailure = OnFailure.STOP, to: str = "new") -> AliasSet:
    return alias_set({"canary": to}, Alias("prod", to, wave=1), verify=verify, on_failure=on_failure)


def outcomes(report: Report) -> dict[str, tuple[Outcome, str | None]]:
    return {result.step.alias: (result.outcome, result.code) for result in report.results}


HALF = {"canary": "new", "prod": "old"}
DONE = {"canary": "new", "prod": "new"}


def test_an_alias_whose_soak_ended_because_another_one_failed_is_verified_before_the_next_wave(shop: Shop) -> None:
    """It was watched for as long as the other one took to fail."""
    shop.server.connect(LOCAL, "default").create_alias("other", "old")
    desired = alias_set({"canary": "new", "other": "new"}, Alias("prod", "new", wave=1), verify=SOAK)
    shop.spoil("other")
    first = shop.apply(desired)
    assert outcomes(first)["canary"] == (Outcome.DONE, "SoakInterrupted")
    assert [pending.alias for pending in shop.plan(desired).pending_verification] == ["canary", "other"]
    shop.spoil("canary")
    again = shop.apply(desired)
    assert outcomes(again)["canary"] == (Outcome.FAILED, "SoakFailed")
    assert shop.live["prod"] == "old"


def test_a_soak_that_failed_keeps_holding_the_next_wave_until_it_passes(shop: Shop) -> None:
    shop.spoil("canary")
    assert shop.apply(spec_hash()).exit_code is ExitCode.INCOMPLETE
    again = shop.apply(spec_hash())
    assert outcomes(again) == {"canary": (Outcome.FAILED, "SoakFailed"), "prod": (Outcome.NOT_ATTEMPTED, None)}
    assert (again.exit_code, again.wrote, shop.live) == (ExitCode.ERROR, False, HALF)
    shop.mend()
    passed = shop.apply(spec_hash())
    assert outcomes(passed) == {"canary": (Outcome.NOOP, None), "prod": (Outcome.DONE, None)}
    assert (passed.exit_code, shop.live) == (ExitCode.DONE, DONE)
    assert shop.apply(spec_hash()).results == ()


def test_a_soak_that_was_cut_short_is_made_up_for(shop: Shop) -> None:
    assert outcomes(shop.apply(spec_hash(LONG), seconds=0.3))["canary"] == (Outcome.DONE, "SoakInterrupted")
    once_more = shop.apply(spec_hash(LONG), seconds=0.3)
    assert outcomes(once_more) == {
        "canary": (Outcome.NOOP, "SoakInterrupted"),
        "prod": (Outcome.NOT_ATTEMPTED, None),
    }
    assert (once_more.interrupted, shop.live) == (True, HALF)
    assert shop.apply(spec_hash(SOAK)).exit_code is ExitCode.DONE
    assert shop.live == DONE


@pytest.mark.parametrize("noted", [False, True], ids=["before its outcome", "in the soak"])
def test_a_run_that_died_has_verified_nothing(shop: Shop, noted: bool) -> None:
    plan = shop.plan(spec_hash())
    canary = plan.steps[0]
    run = shop.journal.begin(plan, Origins("ann", "elsewhere", 1))
    run.intend(plan.targets[0].target, canary, Act.MOVE)
    shop.server.connect(LOCAL, "default").alter_alias("canary", "new")
    if noted:
        run.note(plan.targets[0].target, StepResult(canary, Outcome.DONE, wrote=True))
    shop.spoil("canary")
    report = shop.apply(spec_hash())
    assert outcomes(report)["canary"] == (Outcome.FAILED, "SoakFailed")
    assert shop.live["prod"] == "old"


def test_readers_that_are_stuck_still_hold_the_next_wave(shop: Shop) -> None:
    shop.server.stick_readers("canary", alters=100)
    proof = spec_hash(Verify(propagation=Propagation(1.5)))
    assert outcomes(shop.apply(proof))["canary"] == (Outcome.FAILED, "PropagationStuck")
    assert outcomes(shop.apply(proof)) == {
        "canary": (Outcome.FAILED, "PropagationStuck"),
        "prod": (Outcome.NOT_ATTEMPTED, None),
    }
    assert shop.live == HALF


def test_who_was_not_watched_because_another_one_failed_is_watched_later(shop: Shop) -> None:
    both = alias_set({"canary": "new", "prod": "new"}, verify=Verify(propagation=Propagation(1.5), soak=0.3))
    shop.server.stick_readers("canary", alters=100)
    assert outcomes(shop.apply(both)) == {
        "canary": (Outcome.FAILED, "PropagationStuck"),
        "prod": (Outcome.DONE, "SoakInterrupted"),
    }
    assert [pending.step.alias for pending in shop.plan(both).pending_verification] == ["canary", "prod"]


def test_readers_that_are_healed_meanwhile_let_it_go_on(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Flavour.MILVUS_2_3)
    proof = spec_hash(Verify(propagation=Propagation(2.0)))
    shop.server.stick_readers("canary", alters=100)
    assert outcomes(shop.apply(proof))["canary"] == (Outcome.FAILED, "PropagationStuck")
    shop.server.stick_readers("canary", alters=1)
    healed = shop.apply(proof)
    assert outcomes(healed)["canary"] == (Outcome.NOOP, None)
    assert (healed.exit_code, healed.wrote, shop.live) == (ExitCode.DONE, True, DONE)


def test_the_last_wave_is_made_up_for_though_nothing_is_to_be_changed(shop: Shop) -> None:
    shop.apply(spec_hash(LONG), Options(only=("canary",)), seconds=0.3)
    shop.apply(spec_hash(Verify()), Options(only=("prod",)))
    assert shop.live == DONE
    shop.spoil("canary")
    report = shop.apply(spec_hash())
    assert outcomes(report) == {"canary": (Outcome.FAILED, "SoakFailed")}
    assert report.exit_code is ExitCode.ERROR


def test_with_revert_nothing_behind_it_is_started(shop: Shop) -> None:
    shop.apply(spec_hash(LONG, OnFailure.REVERT), seconds=0.3)
    assert shop.live == HALF
    shop.spoil("canary")
    report = shop.apply(spec_hash(SOAK, OnFailure.REVERT))
    assert outcomes(report) == {"canary": (Outcome.FAILED, "SoakFailed"), "prod": (Outcome.NOT_ATTEMPTED, None)}
    assert shop.live == HALF


def elsewhere(shop: Shop) -> AliasSet:
    return spec_hash(to="newer")


def put_back(shop: Shop) -> AliasSet:
    shop.server.connect(LOCAL, "default").alter_alias("canary", "old")
    return spec_hash()


def made_anew(shop: Shop) -> AliasSet:
    catalog = shop.server.connect(LOCAL, "default")
    catalog.alter_alias("canary", "old")
    shop.server.drop_collection("new")
    shop.server.create_collection("new", rows=[{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    catalog.alter_alias("canary", "new")
    return spec_hash()


@pytest.mark.parametrize("change", [elsewhere, put_back, made_anew])
def test_what_is_not_there_any_more_is_not_owed(shop: Shop, change: Callable[[Shop], AliasSet]) -> None:
    shop.apply(spec_hash(LONG), seconds=0.3)
    assert shop.plan(change(shop)).pending_verification == ()


@pytest.mark.parametrize(
    ("desired", "options"),
    [
        (spec_hash(Verify()), Options()),
        (spec_hash(), Options(retry_rejected=True)),
        (spec_hash(), Options(only=("prod",))),
    ],
    ids=["nothing is asked for any more", "told to go on", "a single alias, whatever its wave"],
)
def test_a_way_past_it(shop: Shop, desired: AliasSet, options: Options) -> None:
    shop.spoil("canary")
    shop.apply(spec_hash())
    assert shop.plan(desired, options).pending_verification == ()


def test_what_somebody_else_moved_after_we_could_not_is_not_owed(shop: Shop) -> None:
    def refuse(method: str, name: str) -> None:
        if method == "alter":
            raise PermissionDenied("the privilege AlterAlias is missing")

    shop.recorder.before = refuse
    assert outcomes(shop.apply(spec_hash()))["canary"] == (Outcome.FAILED, "PermissionDenied")
    shop.mend()
    shop.server.connect(LOCAL, "default").alter_alias("canary", "new")
    assert outcomes(shop.apply(spec_hash())) == {"prod": (Outcome.DONE, None)}


def test_the_gates_of_today_count(shop: Shop) -> None:
    """Whoever has taken a gate out of the manifest is not held up by it."""
    shop.apply(spec_hash(LONG), seconds=0.3)
    shop.server.release("new")
    off = Gates(LoadedGate(enabled=False))
    desired = alias_set({}, Alias("canary", "new", gates=off), Alias("prod", "new", wave=1, gates=off), verify=SOAK)
    assert shop.apply(desired).exit_code is ExitCode.DONE


def test_the_plan_and_the_report_say_so(shop: Shop, tmp_path: Path) -> None:
    shop.apply(spec_hash(LONG), seconds=0.3)
    plan = shop.plan(spec_hash())
    assert any(
        line.plain.startswith("  ? canary   at new   not verified: run ") and "will be verified first" in line.plain
        for line in plan_result(plan).lines()
    )
    assert [(row.sign, row.alias, row.current, row.desired) for row in plan_view(plan).rows] == [
        ("?", "canary", "new", "new"),
        ("~", "prod", "old", "new"),
    ]
    pending = plan_document(plan)["targets"][0]["sets"][0]["pendingVerification"]
    assert [(item["alias"], item["collection"]) for item in pending] == [("canary", "new")]
    report = shop.apply(spec_hash())
    assert any("canary" in line.plain and "unchanged" in line.plain for line in report_result(report).lines())
    assert [step["alias"] for step in report_document(report)["targets"][0]["steps"]] == ["canary", "prod"]
    assert VerificationStarted("shop", ("canary",)) in shop.events


def test_several_sets_keep_their_lines_apart(shop: Shop) -> None:
    shop.apply(spec_hash(LONG), seconds=0.3)
    other = alias_set({"more": "new"}, name="other")
    with catalogs(shop.server) as opened:
        plan = make_plan([spec_hash(), other], catalogs=opened, journal=shop.journal)
        report = apply_plan(plan, catalogs=opened, journal=shop.journal)
    told = [line.plain for line in report_result(report).lines()]
    of_other = told.index("  other")
    assert [line.split()[1] for line in told[of_other + 1 :] if line.startswith("    ")][:1] == ["more"]


def resumed(shop: Shop, file: Path) -> Report:
    """Apply a saved plan once more, as the command does."""
    with shop.recorder.catalogs() as opened:
        plan = saved_with_decisions(load_plan(file), shop.journal.decisions())
        return apply_plan(plan, catalogs=opened, journal=shop.journal)


def test_a_saved_plan_that_is_resumed_watches_first_what_it_had_moved(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_document(shop.plan(spec_hash()))))
    shop.spoil("canary")
    shop.apply(spec_hash())
    assert outcomes(resumed(shop, file)) == {
        "canary": (Outcome.FAILED, "SoakFailed"),
        "prod": (Outcome.NOT_ATTEMPTED, None),
    }
    shop.mend()
    assert (resumed(shop, file).exit_code, shop.live) == (ExitCode.DONE, DONE)


def test_a_saved_plan_holds_nobody_to_what_has_moved_on(shop: Shop, tmp_path: Path) -> None:
    shop.apply(spec_hash(LONG), seconds=0.3)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_document(shop.plan(spec_hash()))))
    shop.server.connect(LOCAL, "default").alter_alias("canary", "newer")
    assert (resumed(shop, file).exit_code, shop.live) == (ExitCode.DONE, {"canary": "newer", "prod": "new"})


def test_a_plan_file_claims_nothing_of_the_kind(shop: Shop, tmp_path: Path) -> None:
    """What is not verified is the journal's to say: a forged file could have an alias altered again."""
    shop.apply(spec_hash(LONG), seconds=0.3)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_document(shop.plan(spec_hash()))))
    assert load_plan(file).pending_verification == ()


def test_a_move_of_a_run_that_died_stays_pending_if_the_next_one_fails_before_the_soak(shop: Shop) -> None:
    """That run finds the alias moved, reverts what it made itself, and leaves this one where it is."""
    shop.server.connect(LOCAL, "default").create_alias("other", "old")
    desired = alias_set({"canary": "new", "other": "new"}, verify=SOAK, on_failure=OnFailure.REVERT)
    plan = shop.plan(desired)
    shop.server.connect(LOCAL, "default").alter_alias("canary", "new")

    def refuse(method: str, name: str) -> None:
        if (method, name) == ("alter", "other"):
            raise PermissionDenied("no")

    shop.recorder.before = refuse
    with shop.recorder.catalogs() as opened:
        report = apply_plan(plan, catalogs=opened, journal=shop.journal)
    assert outcomes(report)["canary"] == (Outcome.NOOP, "SoakInterrupted")
    assert [alias for _, alias, _ in shop.journal.decisions().pending_verification] == ["canary"]
