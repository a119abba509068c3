"""The scenarios on a real Milvus. They share one catalog, in the database `default`, and leave it as they found it.

The database is `default` because that is the only one in which `describe_alias`, all that the naive script knows,
answers rightly on 2.3.5.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import click

from benchmarks import idle_operator, server, shapes
from benchmarks.bench import Bench
from benchmarks.counting import apply_bound, plan_bound
from benchmarks.measure import Entrant
from benchmarks.offline import with_octodns
from benchmarks.results import Calls, Key, Who
from benchmarks.stage import Stage


def live(bench: Bench, keys: Collection[Key]) -> None:
    """Start a server, fill it once, and run these scenarios on it."""
    scenarios = {
        Key.LIVE_SHARED: _shared,
        Key.LIVE_SINGLE: _single,
        Key.IN_SYNC: _in_sync,
        Key.ONE_CHANGED: _one_changed,
        Key.APPLY: _apply,
        Key.OPERATOR: idle_operator.measure,
    }
    desired = [key for key in scenarios if key in keys]
    if not desired:
        return
    if not bench.milvus.exists():
        bench.missing |= dict.fromkeys(desired, "Milvus 2.3.5 was not installed")
        return
    with server.milvus_server(bench.milvus, bench.folder / "milvus") as uri:
        stage = Stage(bench, uri)
        click.echo("filling the server", err=True)
        stage.fill()
        for key in desired:
            scenarios[key](stage)


def _shared(stage: Stage) -> None:
    sizes = stage.bench.sizes
    desired = shapes.moved(stage.shared, sizes.medium // 10)
    plan = stage.plan(Who.PLAN, stage.manifest("shared", desired))
    evaluate_gates = stage.plan(Who.GATED_PLAN, stage.manifest("shared-gated", desired, gates=""))
    naive = stage.naive("shared", desired)
    counted, planned = stage.counted_plan(plan, plan_bound(stage.shared, desired))
    calls = {
        Who.PLAN: planned,
        Who.GATED_PLAN: stage.counted_plan(evaluate_gates)[1],
        Who.NAIVE: Calls(stage.count(naive).total),
    }
    octodns = with_octodns(stage.bench, stage.shared, desired)
    entrants = [plan, evaluate_gates, naive, *octodns, stage.same_calls("plan", counted)]
    title = f"Live plan, {sizes.medium:,} aliases over {sizes.shared:,} collections, a tenth changed"
    stage.bench.contest(Key.LIVE_SHARED, title, entrants, rounds=stage.bench.few, calls=calls)


def _single(stage: Stage) -> None:
    sizes = stage.bench.sizes
    desired = shapes.moved(stage.single, sizes.single // 10)
    plan, naive = stage.plan(Who.PLAN, stage.manifest("single", desired)), stage.naive("single", desired)
    calls = {
        Who.PLAN: stage.counted_plan(plan, plan_bound(stage.single, desired))[1],
        Who.NAIVE: Calls(stage.count(naive).total),
    }
    title = f"Live plan, {sizes.single:,} aliases over {sizes.single:,} collections, a tenth changed"
    stage.bench.contest(Key.LIVE_SINGLE, title, [plan, naive], rounds=stage.bench.rounds, calls=calls)


def _in_sync(stage: Stage) -> None:
    sizes = stage.bench.sizes
    fewer = dict(list(stage.shared.items())[: sizes.medium // 10])
    plan = stage.plan(Who.PLAN, stage.manifest("in-sync", stage.shared))
    smaller = stage.plan(Who.SMALLER_PLAN, stage.manifest("in-sync-fewer", fewer))
    calls = {
        Who.PLAN: stage.counted_plan(plan, plan_bound(stage.shared, stage.shared))[1],
        Who.SMALLER_PLAN: stage.counted_plan(smaller, plan_bound(fewer, fewer))[1],
    }
    title = f"Live plan, {sizes.medium:,} aliases over {sizes.shared:,} collections, all in sync"
    stage.bench.contest(Key.IN_SYNC, title, [plan, smaller], rounds=stage.bench.few, calls=calls)


def _one_changed(stage: Stage) -> None:
    sizes = stage.bench.sizes
    desired = shapes.moved(stage.shared, 1)
    plan, apply = _plan_and_apply(stage, "one-changed", desired)
    _, planned = stage.counted_plan(plan, plan_bound(stage.shared, desired))
    bound = apply_bound(planned.counted, stage.shared, desired)
    calls = {Who.PLAN: planned, Who.APPLY: Calls(stage.count(apply).total, bound=bound)}
    title = f"One of {sizes.medium:,} aliases over {sizes.shared:,} collections changed"
    stage.bench.contest(Key.ONE_CHANGED, title, [plan, apply], rounds=stage.bench.rounds, calls=calls)
    plan.before()


def _apply(stage: Stage) -> None:
    """Ours goes there, the bare loop comes back, and the bare loop of all our calls goes there once more."""
    sizes = stage.bench.sizes
    names = shapes.collection_names(2 * sizes.moving)
    following = dict(zip(names, names[sizes.moving :], strict=False))
    desired = {alias: following[at] for alias, at in stage.shared.items() if at in following}
    plan, apply = _plan_and_apply(stage, "apply", desired)
    bound = apply_bound(stage.count(plan).total, stage.shared, desired)
    counted = stage.count(apply)
    loop = stage.bare_loop("apply", {alias: stage.shared[alias] for alias in desired})
    calls = {Who.APPLY: Calls(counted.total, bound=bound), Who.WRITES: Calls(stage.count(loop).total)}
    title = f"Apply of {len(desired):,} alters, from {sizes.moving:,} collections to {sizes.moving:,} others"
    entrants = [apply, loop, stage.same_calls("apply", counted)]
    stage.bench.contest(Key.APPLY, title, entrants, rounds=stage.bench.few, calls=calls)
    apply.before()


def _plan_and_apply(stage: Stage, name: str, desired: shapes.Pointing) -> tuple[Entrant, Entrant]:
    """A plan of these aliases and its apply, each with the aliases put back before each run where they were."""
    manifest = stage.manifest(name, desired)
    back = {alias: stage.shared[alias] for alias in desired if stage.shared[alias] != desired[alias]}
    apply = stage.bench.ours(Who.APPLY, "apply", "-f", manifest, "--yes")
    both = [
        replace(item, before=lambda: server.point(stage.uri, back)) for item in (stage.plan(Who.PLAN, manifest), apply)
    ]
    return both[0], both[1]
