"""Explore a case: runs one after another, each from every state that the earlier ones can leave."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour
from reconciler.core.errors import AliasctlError
from reconciler.core.model import AliasSet
from reconciler.core.plan import Plan
from reconciler.journal import Origins
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import ROLLBACK, newest_changes, plan_rollback
from tests.explore.ledger import MemoryLedger
from tests.explore.one_thread import Clock, one_thread
from tests.explore.promises import SETTLING_RUNS, Promises
from tests.explore.schedule import Choices, executions
from tests.explore.world import Died, Faults, State, World, landed

DEAD_PROCESS = 2**40
"""A process number that no system gives."""
CLOCK = Clock()
NO_FAULTS = Faults((), reads=False, writes=())


class Case(NamedTuple):
    """What is explored.

    Args:
        suite: the kind of the case, as docs/reliability.md says it.
        name: of the case in the suite.
        sets: the desired state.
        before: where aliases are at first.
        faults: what may go wrong.
        runs: what runs one after another; for each, `apply` or `rollback` or both.
        quick: maximum of faults in all runs together, in CI.
        deep: that under `make soak`.
        flavour: the server.
        others: the desired state of another run, where `faults` has one.
    """

    suite: str
    name: str
    sets: Sequence[AliasSet]
    before: Mapping[str, str]
    faults: Faults = Faults()
    runs: Sequence[Sequence[str]] = (("apply",),)
    quick: int = 2
    deep: int = 3
    flavour: Flavour = Flavour.MILVUS_2_6
    others: Sequence[AliasSet] = ()


Level = dict[Hashable, tuple[State, int, tuple[str, ...]]]
"""By what distinguishes them, the states after a number of runs, each with the budget left and a schedule."""


class Violation(AssertionError):
    """A broken promise, with the schedule that leads there."""


def _raise(violation: Violation) -> None:
    raise violation


@dataclass
class Figures:
    """How much was explored: executions of single runs, states at their choices, and states between runs."""

    executions: int = 0
    faults: int = 0
    states: int = 0
    settled: set[Hashable] = field(default_factory=set)


def explore(case: Case, budget: int, on_violation: Callable[[Violation], None] = _raise) -> Figures:
    """Explore a case.

    Args:
        case: what to explore.
        budget: maximum of faults.
        on_violation: called with each broken promise; by default it is raised.
    """
    figures = Figures()
    start = State(tuple(sorted(case.before.items())))
    level: dict[Hashable, tuple[State, int, tuple[str, ...]]] = {"start": (start, budget, ())}
    with one_thread(CLOCK):
        for number, actors in enumerate(case.runs):
            with_history = any("rollback" in actors for actors in case.runs[number + 1 :])
            level = _following(case, level, actors, figures, on_violation, with_history=with_history)
    return figures


def _following(
    case: Case,
    level: Level,
    actors: Sequence[str],
    figures: Figures,
    on_violation: Callable[[Violation], None],
    *,
    with_history: bool,
) -> Level:
    """Return the states after one more run."""
    following: Level = {}
    for state, budget, told in level.values():
        for actor in actors:
            for world, choices, visited in _run(case, state, actor, budget):
                schedule = (*told, actor, *choices.told)
                _check(world, schedule, on_violation)
                figures.executions += 1
                figures.faults += budget - choices.budget
                figures.states += visited
                after = world.state()
                key = after.key(with_history=with_history)
                if key not in following or following[key][1] < choices.budget:
                    following[key] = (after, choices.budget, schedule)
                settled = after.key(with_history=False)
                if settled not in figures.settled:
                    figures.settled.add(settled)
                    _settle(case, after, schedule, on_violation)
    return following


def _run(case: Case, state: State, actor: str, budget: int) -> Iterator[tuple[World, Choices, int]]:
    """Yield every execution of one run from a state, with the number of states that are new since the last one."""
    visited: dict[Hashable, int] = {}
    counted = 0
    for world, choices in executions(lambda choices: _execute(case, state, actor, choices), budget, visited):
        yield world, choices, len(visited) - counted
        counted = len(visited)


def _execute(case: Case, state: State, actor: str, choices: Choices, faults: Faults | None = None) -> World:
    """Let one run happen, and check the promises about it."""
    promises = Promises()
    CLOCK.now = 0.0
    entries = {alias.name: alias for alias_set in case.sets for alias in alias_set.aliases}
    soak = case.sets[0].verify.soak
    faults = case.faults if faults is None else faults

    def another_run(catalogs: Catalogs, ledger: MemoryLedger) -> None:
        plan = make_plan(case.others, catalogs=catalogs, journal=ledger)
        apply_plan(plan, catalogs=catalogs, journal=ledger, origins=Origins("you", "there", DEAD_PROCESS))

    world = World(state, choices, faults, promises, CLOCK, entries, soak, another_run, case.flavour)
    try:
        ACTORS[actor](case, world)
    except Died:
        pass
    except AliasctlError as error:  # before any write, as the front doors report it
        if any(view.sent for view in world.views.values()):
            world.broken.append(f"6: {error!r} after a call")
    if world.report:
        promises.at_end(world, world.report)
    promises.always(world)
    return world


def _apply(case: Case, world: World) -> None:
    with world.catalogs() as catalogs:
        plan = make_plan(case.sets, catalogs=catalogs, journal=world.ledger)
        _carry_out(plan, world, Origins("me", "here", DEAD_PROCESS))


def _rollback(case: Case, world: World) -> None:
    changes = newest_changes(world.ledger.newest())
    if changes is None:
        return
    with world.catalogs() as catalogs:
        plan = plan_rollback(changes, catalogs)
        _carry_out(plan, world, Origins("me", "here", DEAD_PROCESS, (changes.run,), ROLLBACK))


def _carry_out(plan: Plan, world: World, origins: Origins) -> None:
    with world.catalogs() as catalogs:
        world.report = apply_plan(
            world.planned(plan), catalogs=catalogs, journal=world.ledger, origins=origins, stop=world.stop
        )


ACTORS: Mapping[str, Callable[[Case, World], None]] = {"apply": _apply, "rollback": _rollback}


def _settle(case: Case, state: State, told: tuple[str, ...], on_violation: Callable[[Violation], None]) -> None:
    """Check that runs without a fault finish what is left to do, whether or not late calls take effect."""
    for lands in (False, True) if state.late else (False,):
        after = replace(landed(state) if lands else state, late=(), stuck=())
        for number in range(SETTLING_RUNS + 1):
            choices = Choices((), 0, {})
            world = _execute(case, after, "apply", choices, NO_FAULTS)
            if number == SETTLING_RUNS:
                Promises().settled(world)
            schedule = (*told, *(["late calls take effect"] if lands else []), f"run {number + 1} without faults")
            _check(world, schedule, on_violation)
            after = world.state()


def _check(world: World, told: tuple[str, ...], on_violation: Callable[[Violation], None]) -> None:
    if world.broken:
        on_violation(Violation("\n".join([*world.broken, "after:", *told])))
