"""`onFailure: Revert` on real servers: after any failure all is as it was, and nobody tries again unasked."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import ExitCode
from reconciler.core.options import Options
from reconciler.core.plan import describe_location
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.core.run_events import RunEvent
from reconciler.journal import Act, Journal, RunState
from reconciler.manifest import load
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import changes_of, plan_rollback
from tests.cli.command import Completed, finish, start
from tests.cli.shop import Shop, alias_set, connection
from tests.faults.saboteur import Saboteur, saboteur

BEFORE = {"a": "old", "b": "old", "bystander": "old", "c": "old", "gone": "old", "pruned": "old"}
AFTER = {"a": "new", "b": "new", "bystander": "old", "c": "new", "made": "new"}
EXPECTED: dict[str, Any] = {
    "a": "new",
    "b": "new",
    "c": {"collection": "new", "wave": 1},
    "made": {"collection": "new", "wave": 1},
    "gone": {"state": "Absent", "wave": 2},
}
ORDER = ["a", "b", "c", "made", "gone", "pruned"]
"""The aliases in the order in which they change if it is one at a time."""


def want(shop: Shop, uri: str, aliases: dict[str, Any] = EXPECTED, **spec: Any) -> None:
    """Write the manifest of a set whose changes go together, on a server at `uri`."""
    together = alias_set(aliases, database=shop.database, scope={"include": ["pruned"]}, onFailure="Revert", **spec)
    shop.write("aliases.yaml", connection(uri), together)


def apply(
    shop: Shop,
    journal: Journal,
    options: Options = Options(),
    on_event: Callable[[RunEvent], None] = lambda _: None,
) -> Report:
    """What the command does, without the second that a process takes to start."""
    with Catalogs(connect) as catalogs:
        plan = make_plan(load(shop.folder / "aliases.yaml"), options, catalogs=catalogs, journal=journal)
        return apply_plan(plan, catalogs=catalogs, journal=journal, on_event=on_event)


@pytest.fixture
def journal(shop: Shop, tmp_path: Path) -> Journal:
    """A new journal; and the shop with its aliases as they were."""
    shop.put_back(BEFORE)
    return Journal(tmp_path / "journal.db")


@pytest.mark.parametrize("at", range(1, len(ORDER) + 1))
@pytest.mark.parametrize(
    ("fault", "end"),
    [(Saboteur.refuse, Outcome.FAILED), (Saboteur.lose, Outcome.FAILED), (Saboteur.cut_off, Outcome.REVERTED)],
    ids=["refused", "lost", "answer cut off"],
)
def test_a_failure_at_any_step_leaves_the_aliases_as_they_were(
    fault: Callable[[Saboteur, Any], Any], end: Outcome, at: int, shop: Shop, journal: Journal
) -> None:
    with saboteur(shop.uri) as relay:
        relay.faults[at] = lambda write: fault(relay, write)
        want(shop, relay.uri)
        report = apply(shop, journal)
    assert shop.live == BEFORE
    *made, blocking_step = relay.arrived[:at]
    ends = {result.step.alias: result.outcome for result in report.results}
    # With several calls in flight, others of the same wave may have arrived after the one that failed.
    made += [alias for alias in relay.arrived[at:] if alias not in made and alias != blocking_step]
    assert ends == {
        **dict.fromkeys(ORDER, Outcome.NOT_ATTEMPTED),
        **dict.fromkeys(made, Outcome.REVERTED),
        blocking_step: end,
    }
    for result in report.results:
        if result.outcome is Outcome.REVERTED:
            assert f'"{blocking_step}" failed: ' in (result.message or "")
            assert (result.message or "").endswith(f"it is {describe_location(BEFORE.get(result.step.alias))} again")
    unwritten = at == 1 and not made and fault is Saboteur.refuse
    assert report.exit_code is (ExitCode.ERROR if unwritten else ExitCode.INCOMPLETE)
    (run,) = journal.runs()
    assert {past.step.alias: past.outcome for past in run.steps} == {
        alias: outcome for alias, outcome in ends.items() if outcome is not Outcome.NOT_ATTEMPTED
    }


def command(shop: Shop, journal: Journal, *options: str) -> Completed:
    return shop.apply("--journal", str(journal.path), "--format", "json", *options)


def outcomes(completed: Completed) -> dict[str, str]:
    (target,) = completed.document["targets"]
    return {step["alias"]: step["outcome"] for step in target["steps"]}


def fail_and_revert(shop: Shop, journal: Journal, relay: Saboteur) -> None:
    """A run whose last step is refused, so that all the others are undone."""
    relay.faults[len(ORDER)] = relay.refuse
    want(shop, relay.uri)
    failed = command(shop, journal)
    assert (failed.code, shop.live) == (5, BEFORE)
    assert outcomes(failed) == {**dict.fromkeys(ORDER, "reverted"), "pruned": "failed"}


def insist_on_refusal(shop: Shop, journal: Journal, relay: Saboteur) -> None:
    """The same again is blocked, with the reason and the remedy; nothing is written."""
    written, (run,) = len(relay.arrived), journal.runs()
    refused = command(shop, journal)
    assert (refused.code, shop.live, len(relay.arrived)) == (3, BEFORE, written)
    assert set(outcomes(refused).values()) == {"blocked"}
    message = refused.document["targets"][0]["steps"][0]["message"]
    assert message.startswith(f'new was rejected by run {run.id}: "pruned" failed: ')
    assert message.endswith("change the set in the manifest, or try again with --retry-rejected")


def test_what_was_undone_is_not_tried_again_unless_asked_for(shop: Shop, journal: Journal) -> None:
    with saboteur(shop.uri) as relay:
        fail_and_revert(shop, journal, relay)
        insist_on_refusal(shop, journal, relay)
        retried = command(shop, journal, "--retry-rejected")
        assert (retried.code, shop.live) == (0, AFTER)
        again = command(shop, journal)
        assert (again.code, outcomes(again)) == (0, {})


@pytest.mark.parametrize("shop", ["lite_server"], indirect=True)
def test_what_was_undone_is_tried_again_when_the_manifest_wants_something_else(shop: Shop, journal: Journal) -> None:
    with saboteur(shop.uri) as relay:
        fail_and_revert(shop, journal, relay)
        want(shop, relay.uri, limits={"maxDrops": 5})  # another word, but not about what is wanted
        insist_on_refusal(shop, journal, relay)
        want(shop, relay.uri, {**EXPECTED, "a": {"collection": "new", "gates": {"loaded": {}}}})
        assert (command(shop, journal).code, shop.live) == (0, AFTER)


@pytest.mark.parametrize("shop", ["lite_server"], indirect=True)
@pytest.mark.parametrize("number", range(len(ORDER) - 1))
@pytest.mark.parametrize("acted", [False, True], ids=["before the server acted", "after the server acted"])
def test_killed_on_the_way_back(acted: bool, number: int, shop: Shop, journal: Journal) -> None:
    """The record says what was undone and what was not; a rollback finishes the way back."""
    *back, blocking_step = ORDER
    back.reverse()
    with saboteur(shop.uri) as relay:
        relay.faults[len(ORDER)] = relay.refuse
        relay.faults[len(ORDER) + 1 + number] = relay.kill_after if acted else relay.kill_before
        want(shop, relay.uri)
        relay.client = start(["apply", "-f", "aliases.yaml", "--yes", "--journal", str(journal.path)], shop.folder)
        assert finish(relay.client).code == -signal.SIGKILL

        (run,) = journal.runs()
        assert run.state is RunState.INTERRUPTED
        undone, in_flight, left = back[:number], back[number], back[number + 1 :]
        assert {past.step.alias: (past.outcome, past.begun) for past in run.steps} == {
            **dict.fromkeys(undone, (Outcome.REVERTED, None)),
            in_flight: (Outcome.DONE, Act.REVERT),
            **dict.fromkeys(left, (Outcome.DONE, None)),
            blocking_step: (Outcome.FAILED, None),
        }
        still = [*left, *([] if acted else [in_flight])]
        assert shop.live == mixed(still)

        with Catalogs(connect) as catalogs:
            report = apply_plan(plan_rollback(changes_of(run), catalogs), catalogs=catalogs)
        assert (report.exit_code, shop.live) == (ExitCode.DONE, BEFORE)
        shop.put_back(mixed(still))
        assert apply(shop, journal, Options(retry_rejected=True)).exit_code is ExitCode.DONE
        assert shop.live == AFTER


def mixed(moved: Sequence[str]) -> dict[str, str]:
    """Where the aliases are when these were changed, and the others were not or are back."""
    ends = {alias: (AFTER if alias in moved else BEFORE).get(alias) for alias in sorted(BEFORE.keys() | AFTER.keys())}
    return {alias: collection for alias, collection in ends.items() if collection}


def test_a_canary_that_goes_bad_while_it_is_watched_is_moved_back(shop: Shop, journal: Journal) -> None:
    """And not moved there again, even when it has become good, until somebody says so."""
    random = Random(7)  # noqa: S311 - the same ones each time
    vectors = [[random.gauss(0, 1) for _ in range(4)] for _ in range(60)]
    good, bad = ([{"id": key, "vector": item} for key, item in enumerate(each)] for each in (vectors, vectors[::-1]))
    for name in ("served", "again"):
        shop.admin.create_collection(name, shop.database, replicas=1, rows=good)
    shop.put_back({"a": "served", "b": "served"})
    client = shop.admin.client(shop.database)

    def spoil(event: RunEvent) -> None:
        if isinstance(event, StepResult) and event.outcome is Outcome.DONE:
            client.upsert("again", bad)

    gates, verify = {"canary": {"sample": 10, "k": 5, "minOverlap": 0.8}}, {"soak": "60s"}
    aliases = {"a": "again", "b": {"collection": "again", "wave": 1}}
    want(shop, shop.uri, aliases, gates=gates, verify=verify)
    report = apply(shop, journal, on_event=spoil)
    assert shop.live == {"a": "served", "b": "served"}
    assert [result.outcome for result in report.results] == [Outcome.REVERTED, Outcome.NOT_ATTEMPTED]
    reason = "during the soak: canary: overlap@5 "
    assert reason in (report.results[0].message or "")
    assert report.exit_code is ExitCode.INCOMPLETE

    client.upsert("again", good)
    refused = apply(shop, journal)
    assert (refused.exit_code, refused.wrote) == (ExitCode.REFUSED, False)
    assert reason in (refused.results[0].message or "")
    want(shop, shop.uri, aliases, gates=gates, verify={"soak": "1s"})
    assert apply(shop, journal).exit_code is ExitCode.DONE
    assert shop.live == {"a": "again", "b": "again"}


def test_stopped_during_the_soak_the_next_run_watches_that_wave_first(shop: Shop, journal: Journal) -> None:
    client = shop.admin.client(shop.database)
    aliases = {"a": "new", "b": {"collection": "new", "wave": 1}}
    want(shop, shop.uri, aliases, verify={"soak": "10m"})
    command = ["apply", "-f", "aliases.yaml", "--yes"]
    watching = start(command, shop.folder)
    assert watching.stderr
    assert any("soak: monitoring 1 alias for 10m" in line for line in iter(watching.stderr.readline, ""))
    watching.send_signal(signal.SIGTERM)
    stopped = finish(watching)
    half = dict(sorted({**BEFORE, "a": "new"}.items()))
    assert (stopped.code, shop.live) == (ExitCode.INCOMPLETE, half), stopped

    client.release_collection("new")
    want(shop, shop.uri, aliases, verify={"soak": "1s"})
    held = finish(start(command, shop.folder))
    assert "failed: during the soak: loaded: new is not loaded" in held.stdout, held
    assert (held.code, shop.live) == (ExitCode.ERROR, half)

    client.load_collection("new")
    planned = finish(start(["plan", "-f", "aliases.yaml"], shop.folder))
    assert "  ? a        at new   not verified: run " in planned.stdout
    done = finish(start(command, shop.folder))
    assert (done.code, shop.live["b"]) == (ExitCode.DONE, "new"), done
