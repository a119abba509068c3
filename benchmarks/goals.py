"""Goals for the cost, and whether a run of the benchmark met them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.results import Calls, Key, Results, Who

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"


@dataclass(frozen=True)
class Verdict:
    """One goal: its subject, the desired and the measured value, and `MET`, `NOT_MET` or `NOT_MEASURED`.

    `floor` is the value of a program that does the minimum possible work; "" if none was measured.
    """

    what: str
    desired: str
    measured: str
    verdict: str
    floor: str = ""


def verdicts(results: Results) -> list[Verdict]:
    """Every goal, in the order of the page."""
    return [goal(results) for goal in GOALS]


Goal = Callable[[Results], Verdict]


def _of_calls(what: str, desired: str, who: Who) -> Goal:
    """Compare the calls counted with the bound that follows from the shape of each live scenario."""

    def judge(results: Results) -> Verdict:
        seen = [(calls.counted, calls.bound) for calls in _calls(results, who) if calls.bound is not None]
        if not seen:
            return Verdict(what, desired, "", NOT_MEASURED)
        shown = "; ".join(f"{counted:,} of {bound:,}" for counted, bound in seen)
        return Verdict(what, desired, shown, _met(all(counted <= bound for counted, bound in seen)))

    return judge


def _calls(results: Results, who: Who) -> Iterator[Calls]:
    for scenario in results.scenarios:
        row = scenario.row(who)
        if row and row.calls:
            yield row.calls


def _same_calls(results: Results) -> Verdict:
    what, desired = "Calls of a plan with ten times the aliases on the same collections", "equal"
    scenario = results.scenario(Key.IN_SYNC)
    rows = [scenario.row(who) for who in (Who.SMALLER_PLAN, Who.PLAN)] if scenario else []
    calls = [row.calls.counted for row in rows if row and row.calls]
    if len(calls) < 2:
        return Verdict(what, desired, "", NOT_MEASURED)
    return Verdict(what, desired, " and ".join(f"{each:,}" for each in calls), _met(len(set(calls)) == 1))


def _reported(results: Results) -> Verdict:
    what, desired = "Calls that a plan reports, compared with those counted, except `Connect`", "equal"
    seen = [calls for calls in _calls(results, Who.PLAN) if calls.reported is not None]
    shown = "; ".join(f"{calls.reported:,} and {calls.counted - calls.greetings:,}" for calls in seen)
    if not seen:
        return Verdict(what, desired, "", NOT_MEASURED)
    return Verdict(what, desired, shown, _met(all(calls.reported == calls.counted - calls.greetings for calls in seen)))


def _faster(what: str, key: Key, ours: Who, other: Who, times: float, floor: Who | None = None) -> Goal:
    """`other` must take at least `times` as long as `ours`."""
    desired = "faster" if times == 1 else f"{times:g} times faster"

    def judge(results: Results) -> Verdict:
        ratio = _ratio(results, key, other, ours)
        if ratio is None:
            return Verdict(what, desired, "", NOT_MEASURED)
        least = _ratio(results, key, other, floor)
        return Verdict(what, desired, f"{ratio:.1f} times", _met(ratio >= times), f"{least:.1f} times" if least else "")

    return judge


def _at_most(
    what: str, key: Key, ours: Who, other: Who, times: float, floor: Who | None = None, *, under: bool = False
) -> Goal:
    """`ours` must take at most `times` as long as `other`, or less than that if `under`."""
    desired = f"{'less than' if under else 'at most'} {times:g} times"

    def judge(results: Results) -> Verdict:
        ratio = _ratio(results, key, ours, other)
        if ratio is None:
            return Verdict(what, desired, "", NOT_MEASURED)
        least = _ratio(results, key, floor, other)
        met = _met(ratio < times if under else ratio <= times)
        return Verdict(what, desired, f"{ratio:.2f} times", met, f"{least:.2f} times" if least else "")

    return judge


def _ratio(results: Results, key: Key, who: Who | None, other: Who | None) -> float | None:
    scenario = results.scenario(key)
    return scenario.ratio(who, other) if scenario and who and other else None


def _slower_by(what: str, ours: Who, other: Who, seconds: float) -> Goal:
    """`ours` must take at most so many seconds longer than `other`, in the scenario of the journal."""
    desired = f"at most {seconds:g} s more"

    def judge(results: Results) -> Verdict:
        scenario = results.scenario(Key.JOURNAL)
        more = scenario.slower(ours, other) if scenario else None
        if more is None:
            return Verdict(what, desired, "", NOT_MEASURED)
        return Verdict(what, desired, f"{more:.3f} s", _met(more <= seconds))

    return judge


def _less_memory(what: str, key: Key, ours: Who, other: Who) -> Goal:
    def judge(results: Results) -> Verdict:
        rows = [scenario.row(who) for who in (ours, other)] if (scenario := results.scenario(key)) else []
        peaks = [row.peak / 1e6 for row in rows if row]
        if len(peaks) < 2:
            return Verdict(what, "less", "", NOT_MEASURED)
        return Verdict(what, "less", f"{peaks[0]:.0f} MB vs. {peaks[1]:.0f} MB", _met(peaks[0] < peaks[1]))

    return judge


def _memory_under(what: str, key: Key, ours: Who, limit: int) -> Goal:
    """The peak must be less than `limit` megabytes."""

    def judge(results: Results) -> Verdict:
        scenario = results.scenario(key)
        row = scenario.row(ours) if scenario else None
        if not row:
            return Verdict(what, f"less than {limit} MB", "", NOT_MEASURED)
        return Verdict(what, f"less than {limit} MB", f"{row.peak / 1e6:.0f} MB", _met(row.peak < limit * 1e6))

    return judge


def _p95_under(what: str, key: Key, who: Who, limit: float) -> Goal:
    """95 of 100 runs must take less than `limit` seconds."""
    desired = f"95th percentile less than {limit:g} s"

    def judge(results: Results) -> Verdict:
        scenario = results.scenario(key)
        row = scenario.row(who) if scenario else None
        if row is None or row.p95_seconds is None:
            return Verdict(what, desired, "", NOT_MEASURED)
        return Verdict(what, desired, f"{row.p95_seconds:.2f} s", _met(row.p95_seconds < limit))

    return judge


def _met(so: bool) -> str:
    return MET if so else NOT_MET


GOALS: tuple[Goal, ...] = (
    _of_calls(
        "Calls of a plan without gates: A aliases on T desired collections, D of them drifted, C collections in steps",
        "at most T + D + C + 4, or A + C + 4 if that is less",
        Who.PLAN,
    ),
    _same_calls,
    _reported,
    _of_calls(
        "Calls of an apply of N steps in W waves, without gates and propagation",
        "at most those of its plan + 2N + W·T + 2",
        Who.APPLY,
    ),
    _faster(
        "Offline plan of 10,000 aliases compared with octoDNS",
        Key.OFFLINE_MEDIUM,
        Who.PLAN,
        Who.OCTODNS,
        5,
        Who.LOADING,
    ),
    _less_memory("Memory of this plan compared with octoDNS", Key.OFFLINE_MEDIUM, Who.PLAN, Who.OCTODNS),
    _faster(
        "Live plan of 10,000 aliases over 500 collections compared with octoDNS offline",
        Key.LIVE_SHARED,
        Who.PLAN,
        Who.OCTODNS,
        1,
        Who.SAME_CALLS,
    ),
    _faster("The same plan compared with the naive script", Key.LIVE_SHARED, Who.PLAN, Who.NAIVE, 10, Who.SAME_CALLS),
    _faster(
        "Offline plan of 1,000 aliases compared with Terraform",
        Key.OFFLINE_SMALL,
        Who.PLAN,
        Who.TERRAFORM,
        15,
        Who.LOADING,
    ),
    _at_most(
        "Offline plan of 100,000 aliases compared with 10,000",
        Key.OFFLINE_LARGE,
        Who.PLAN,
        Who.SMALLER_PLAN,
        12,
        under=True,
    ),
    _memory_under("Memory of the plan of 100,000 aliases", Key.OFFLINE_LARGE, Who.PLAN, 400),
    _slower_by("Plan with 100,000 recorded runs compared with none", Who.PLAN_MANY_RUNS, Who.PLAN_NO_RUNS, 0.05),
    _slower_by("History with 100,000 recorded runs compared with one", Who.HISTORY_MANY_RUNS, Who.HISTORY, 0.3),
    _slower_by(
        "Rollback (--dry-run) with 100,000 recorded runs compared with one", Who.ROLLBACK_MANY_RUNS, Who.ROLLBACK, 0.3
    ),
    _at_most(
        "Validation of 4 MiB of wrong items compared with a quarter of them",
        Key.HOSTILE,
        Who.WRONG_ITEMS,
        Who.WRONG_ITEMS_QUARTER,
        4.8,
    ),
    _at_most(
        "The same compared with loading the file with libyaml",
        Key.HOSTILE,
        Who.WRONG_ITEMS,
        Who.LOADING_WRONG_ITEMS,
        1,
    ),
    _memory_under("Memory of the same: 128 bytes for each byte", Key.HOSTILE, Who.WRONG_ITEMS, 512),
    _at_most(
        "Wrong plan file of 4 MiB compared with one of 1 MiB",
        Key.HOSTILE,
        Who.WRONG_PLAN,
        Who.WRONG_PLAN_QUARTER,
        4.8,
    ),
    _memory_under("Memory of the same: 32 bytes for each byte", Key.HOSTILE, Who.WRONG_PLAN, 128),
    _at_most("40 sets with tangled scopes compared with 10", Key.HOSTILE, Who.TANGLED, Who.TANGLED_QUARTER, 4.8),
    _at_most("1,000 sets with separate scopes compared with 100", Key.HOSTILE, Who.SCOPES, Who.SCOPES_TENTH, 12),
    _at_most(
        "Apply of 2,000 alters, checked and read back, compared with the bare loop",
        Key.APPLY,
        Who.APPLY,
        Who.WRITES,
        1.7,
        Who.SAME_CALLS,
    ),
    _at_most(
        "`validate` of ten aliases compared with importing click and yaml",
        Key.START_UP,
        Who.VALIDATE,
        Who.IMPORTS,
        4,
        Who.NOTHING,
    ),
    _at_most("One of 10,000 aliases changed: apply compared with its plan", Key.ONE_CHANGED, Who.APPLY, Who.PLAN, 1.3),
    _of_calls(
        "Calls of the operator in an idle interval, all sets on C collections", "at most one read: 3 + C", Who.OPERATOR
    ),
    _memory_under("Memory of the operator with 500 sets of ten aliases", Key.OPERATOR, Who.OPERATOR, 250),
    _p95_under("Edit of one of these sets, until it is applied", Key.OPERATOR, Who.EDIT, 1),
    _p95_under("The same edit while all sets are reconciled", Key.OPERATOR, Who.EDIT_BUSY, 1),
)
