"""The page on performance holds what the benchmark found, and the benchmark measures what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pytest

from benchmarks import shapes
from benchmarks.breakdown import break_down
from benchmarks.counting import apply_bound, plan_bound
from benchmarks.goals import MET, NOT_MEASURED, NOT_MET, verdicts
from benchmarks.measure import Entrant, in_turn, run
from benchmarks.page import page
from benchmarks.results import Calls, Key, Results, Row, Scenario, Who, load

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results.json"
PROMISED = [
    ("Calls of a plan without gates", "at most T + D + C + 4, or A + C + 4 if that is less"),
    ("ten times the aliases on the same collections", "equal"),
    ("Calls of an apply of N steps in W waves", "at most those of its plan + 2N + W·T + 2"),
    ("Offline plan of 10,000 aliases compared with octoDNS", "5 times faster"),
    ("Memory of this plan compared with octoDNS", "less"),
    ("Live plan of 10,000 aliases over 500 collections compared with octoDNS", "faster"),
    ("The same plan compared with the naive script", "10 times faster"),
    ("Offline plan of 1,000 aliases compared with Terraform", "15 times faster"),
    ("Offline plan of 100,000 aliases compared with 10,000", "less than 12 times"),
    ("Memory of the plan of 100,000 aliases", "less than 400 MB"),
    ("Apply of 2,000 alters, checked and read back, compared with the bare loop", "at most 1.7 times"),
    ("`validate` of ten aliases", "at most 4 times"),
    ("One of 10,000 aliases changed: apply compared with its plan", "at most 1.3 times"),
    ("Memory of the operator with 500 sets of ten aliases", "less than 250 MB"),
    ("Edit of one of these sets, until it is applied", "95th percentile less than 1 s"),
    ("The same edit while all sets are reconciled", "95th percentile less than 1 s"),
]


def results_of(*scenarios: Scenario, **missing: str) -> Results:
    return Results("2026-01-01", 3, {"processor": "some"}, {"aliasctl": "0"}, scenarios, missing)


def row(who: Who, *seconds: float, megabytes: int = 50, calls: Calls | None = None) -> Row:
    return Row(who, seconds, seconds, (megabytes * 1_000_000,) * len(seconds), calls)


def scenario(key: Key, *rows: Row) -> Scenario:
    return Scenario(key, f"title of {key}", rows)


def verdict(results: Results, what: str) -> tuple[str, str]:
    """What was measured, and the verdict, of the goal whose text begins so, as the page has them."""
    cells = [line.strip("| ").split(" | ") for line in page(results).splitlines() if line.startswith(f"| {what}")]
    assert len(cells) == 1, what
    return cells[0][2], cells[0][3]


def test_the_page_is_what_the_results_give() -> None:
    assert (ROOT / "docs" / "performance.md").read_text() == page(load(RESULTS)), "run `make bench`"


def test_the_results_name_every_goal_with_the_verdict_of_their_figures() -> None:
    written = [(load["what"], load["verdict"]) for load in json.loads(RESULTS.read_text())["goals"]]
    assert written == [(verdict.what, verdict.verdict) for verdict in verdicts(load(RESULTS))]


@pytest.mark.parametrize(("what", "desired"), PROMISED)
def test_every_goal_is_on_the_page_with_its_figure_and_verdict(what: str, desired: str) -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    line = rf"^\| [^|]*{re.escape(what)}[^|]* \| {re.escape(desired)} \| [^|]*\d[^|]* \| (met|not met) \| [^|]*\|$"
    assert re.search(line, text, re.MULTILINE)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [((2.0, 1.0, 1.0), (10.0, 5.0, 5.0), MET), ((2.0, 1.0, 1.0), (9.9, 4.9, 4.9), NOT_MET)],
)
def test_a_goal_is_judged_by_the_median_of_the_rounds_ratios(
    ours: Sequence[float], theirs: Sequence[float], expected: str
) -> None:
    found = results_of(scenario(Key.OFFLINE_MEDIUM, row(Who.PLAN, *ours), row(Who.OCTODNS, *theirs)))
    assert verdict(found, "Offline plan of 10,000 aliases compared with octoDNS")[1] == expected


def test_one_slow_round_changes_no_verdict() -> None:
    rows = row(Who.APPLY, 1.0, 1.0, 99.0), row(Who.WRITES, 1.0, 1.0, 1.0)
    assert verdict(results_of(scenario(Key.APPLY, *rows)), "Apply of 2,000") == ("1.00 times", MET)


def test_what_was_not_measured_is_neither_met_nor_hidden() -> None:
    found = results_of(scenario(Key.OFFLINE_SMALL, row(Who.PLAN, 1.0)), Terraform="it was not on the PATH")
    assert verdict(found, "Offline plan of 1,000 aliases compared with Terraform") == ("", NOT_MEASURED)
    assert "| Terraform | it was not on the PATH |" in page(found)
    assert {verdict.verdict for verdict in verdicts(results_of())} == {NOT_MEASURED}


def test_one_call_too_many_in_any_scenario_is_a_goal_not_met() -> None:
    good = scenario(Key.LIVE_SHARED, row(Who.PLAN, 1.0, calls=Calls(100, 1, 99, bound=100)))
    bad = scenario(Key.LIVE_SINGLE, row(Who.PLAN, 1.0, calls=Calls(101, 1, 100, bound=100)))
    assert verdict(results_of(good), "Calls of a plan without gates") == ("100 of 100", MET)
    assert verdict(results_of(good, bad), "Calls of a plan without gates") == ("100 of 100; 101 of 100", NOT_MET)


def test_a_plan_that_reports_other_calls_than_were_counted_is_told() -> None:
    honest = scenario(Key.LIVE_SHARED, row(Who.PLAN, 1.0, calls=Calls(100, 1, 99)))
    assert verdict(results_of(honest), "Calls that a plan reports") == ("99 and 99", MET)
    wrong = scenario(Key.LIVE_SHARED, row(Who.PLAN, 1.0, calls=Calls(100, 1, 98)))
    assert verdict(results_of(wrong), "Calls that a plan reports") == ("98 and 99", NOT_MET)


def test_a_long_journal_is_judged_by_the_median_of_the_differences() -> None:
    plans = row(Who.PLAN_MANY_RUNS, 0.30, 0.31, 9.0), row(Who.PLAN_NO_RUNS, 0.29, 0.29, 0.29)
    history = row(Who.HISTORY_MANY_RUNS, 0.8, 0.8, 0.8), row(Who.HISTORY, 0.2, 0.2, 0.2)
    found = results_of(scenario(Key.JOURNAL, *plans, *history))
    assert verdict(found, "Plan with 100,000 recorded runs") == ("0.020 s", MET)
    assert verdict(found, "History with 100,000 recorded runs") == ("0.600 s", NOT_MET)


def test_memory_is_that_of_the_hungriest_run() -> None:
    greedy = replace(row(Who.PLAN, 1.0, 1.0, 1.0), peak_bytes=(1, 400_000_000, 1))
    found = results_of(scenario(Key.OFFLINE_LARGE, greedy, row(Who.SMALLER_PLAN, 1.0, 1.0, 1.0)))
    assert verdict(found, "Memory of the plan of 100,000 aliases") == ("400 MB", NOT_MET)


def test_an_edit_is_judged_by_what_95_of_100_take_at_most() -> None:
    quick, slow = (*[0.1] * 47, 0.9, 5.0, 5.0), (*[0.1] * 47, 5.0, 5.0, 5.0)
    found = results_of(scenario(Key.OPERATOR, row(Who.EDIT, *quick), row(Who.EDIT_BUSY, *slow)))
    assert verdict(found, "Edit of one of these sets") == ("0.90 s", MET)
    assert verdict(found, "The same edit while all sets are reconciled") == ("5.00 s", NOT_MET)
    assert "| 0.10 s | 0.90 s | 0.10 – 5.00 s |" in page(found)


def test_a_percentile_of_few_runs_is_not_told() -> None:
    found = results_of(scenario(Key.OPERATOR, row(Who.EDIT, *[0.1] * 19)))
    assert verdict(found, "Edit of one of these sets") == ("", NOT_MEASURED)


def test_the_floor_is_the_ratio_of_who_does_only_what_cannot_be_left_out() -> None:
    found = results_of(scenario(Key.APPLY, row(Who.APPLY, 6.0), row(Who.WRITES, 2.0), row(Who.SAME_CALLS, 5.0)))
    assert "| at most 1.7 times | 3.00 times | not met | 2.50 times |" in page(found)


def test_the_page_says_where_the_time_of_the_first_row_goes() -> None:
    parts = {"yaml": 0.75, "reconciler.manifest": 0.2}
    found = results_of(replace(scenario(Key.OFFLINE_SMALL, row(Who.PLAN, 1.0)), parts=parts))
    assert "Time of `aliasctl plan`, under a profiler: yaml 75%, reconciler.manifest 20%." in page(found)


def test_time_spent_in_c_counts_for_the_part_that_calls_it(tmp_path: Path) -> None:
    (tmp_path / "reconciler" / "catalog").mkdir(parents=True)
    (tmp_path / "reconciler" / "__init__.py").touch()
    (tmp_path / "reconciler" / "catalog" / "__init__.py").write_text("def work():\n    sum(range(20_000_000))\n")
    (tmp_path / "program").write_text("import time, reconciler.catalog as ours\nours.work()\ntime.sleep(0.1)\n")
    parts = break_down(Entrant("program", [str(tmp_path / "program")], tmp_path))
    assert next(iter(parts)) == "reconciler.catalog"
    assert parts["waiting"] > 0
    assert 0.9 < sum(parts.values()) <= 1.001


def test_the_most_calls_follow_from_the_shape() -> None:
    live = {"a": "c0", "b": "c0", "c": "c1", "d": "c1"}
    assert plan_bound(live, live) == 2 + 0 + 0 + 4
    assert plan_bound(live, {**live, "a": "c1"}) == 2 + 1 + 2 + 4
    assert plan_bound(live, dict.fromkeys(live, "c2")) == 4 + 3 + 4  # asking for each alias is cheaper here
    assert apply_bound(10, live, {**live, "a": "c2"}) == 10 + 2 * 1 + 3 + 2
    two_sets = {f"a{number}": "c1" for number in range(1001)}
    assert apply_bound(10, two_sets, dict.fromkeys(two_sets, "c2")) == 10 + 2 * 1001 + 2 * 1 + 2


def test_the_memory_of_the_benchmark_itself_does_not_count(tmp_path: Path) -> None:
    ours = bytearray(os.urandom(1) * 300_000_000)
    assert run(Entrant("nothing", [sys.executable, "-I", "-S", "-c", ""], tmp_path)).peak_bytes < 50_000_000
    hungry = run(Entrant("hungry", [sys.executable, "-c", "x = b'1' * 200_000_000"], tmp_path))
    assert len(ours) > hungry.peak_bytes > 200_000_000


def test_time_is_of_the_whole_process_and_cpu_time_without_its_waiting(tmp_path: Path) -> None:
    slept = run(Entrant("sleep", [sys.executable, "-S", "-c", "import time; time.sleep(0.5)"], tmp_path))
    assert slept.seconds > 0.5 > slept.cpu_seconds


def test_a_command_that_fails_ends_the_benchmark_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"octoDNS: .* ended with 3\nno such zone"):
        run(Entrant("octoDNS", [sys.executable, "-c", "import sys; print('no such zone'); sys.exit(3)"], tmp_path))


def test_all_take_turns_after_one_run_that_does_not_count(tmp_path: Path) -> None:
    seen: list[str] = []
    entrants = [Entrant(name, ["true"], tmp_path, before=lambda name=name: seen.append(name)) for name in "ab"]  # type: ignore[misc]
    runs = in_turn(entrants, 2)
    assert "".join(seen) == "ab" + "abab"
    assert {name: len(each) for name, each in runs.items()} == {"a": 2, "b": 2}


def test_a_tenth_is_really_on_another_collection_and_the_same_tenth_each_time() -> None:
    live = shapes.dealt(1000, 50)
    desired = shapes.moved(live, 100)
    assert sum(live[alias] != desired[alias] for alias in live) == 100
    assert set(desired.values()) == set(live.values())
    assert shapes.moved(live, 100) == desired


def test_the_benchmark_runs_from_end_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1", "--only", "start-up"]
    command += [
        "--only",
        "offline-small",
        "--only",
        "journal",
        "--only",
        "hostile",
        "--octodns",
        str(tmp_path / "none"),
        "--into",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PATH": "/nowhere"})
    assert done.returncode == 0, done.stderr
    found = load(tmp_path / "results.json")
    assert (tmp_path / "performance.md").read_text() == page(found)
    assert [scenario.key for scenario in found.scenarios] == [Key.START_UP, Key.OFFLINE_SMALL, Key.JOURNAL, Key.HOSTILE]
    seen = [each.who for scenario in found.scenarios for each in scenario.rows]
    assert seen[:6] == [Who.VALIDATE, Who.HELP, Who.IMPORTS, Who.NOTHING, Who.PLAN, Who.LOADING]
    assert seen[6:12] == [
        Who.PLAN_MANY_RUNS,
        Who.PLAN_NO_RUNS,
        Who.HISTORY_MANY_RUNS,
        Who.HISTORY,
        Who.ROLLBACK_MANY_RUNS,
        Who.ROLLBACK,
    ]
    assert seen[12:14] == [Who.WRONG_ITEMS, Who.WRONG_ITEMS_HALF]
    assert all("importing" in scenario.parts for scenario in found.scenarios)
    assert found.missing["octoDNS"] == "it was not installed"
    assert found.missing["Terraform"] == "it was not on the PATH"
    assert {Key.APPLY, Key.OPERATOR} <= found.missing.keys()
    assert verdict(found, "`validate` of ten aliases")[0].endswith(" times")
