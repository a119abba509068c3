"""What wrong and hostile input costs, and how that grows with its size."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Entrant
from benchmarks.offline import LOAD, NOWHERE
from benchmarks.results import Key, Who

REFUSED = frozenset({1})
PATTERNS = 64
"""The most that a scope may have."""
CONNECTION = f"""\
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {{name: main}}
spec: {{uri: {NOWHERE}}}
"""


def hostile(bench: Bench) -> None:
    sizes, refused = bench.sizes, REFUSED
    wrong, plan = sizes.wrong, sizes.wrong_plan
    largest = _wrong_items(bench, wrong)
    entrants = [
        bench.ours(Who.WRONG_ITEMS, "validate", "-f", largest, codes=refused),
        bench.ours(Who.WRONG_ITEMS_HALF, "validate", "-f", _wrong_items(bench, wrong // 2), codes=refused),
        bench.ours(Who.WRONG_ITEMS_QUARTER, "validate", "-f", _wrong_items(bench, wrong // 4), codes=refused),
        bench.ours(Who.WRONG_ITEMS_EIGHTH, "validate", "-f", _wrong_items(bench, wrong // 8), codes=refused),
        bench.python(Who.LOADING_WRONG_ITEMS, "-c", LOAD, largest),
        bench.ours(Who.WRONG_PLAN, "show", _wrong_plan(bench, plan), codes=refused),
        bench.ours(Who.WRONG_PLAN_QUARTER, "show", _wrong_plan(bench, plan // 4), codes=refused),
        _scopes(bench, Who.TANGLED, sizes.tangled, tangled=True),
        _scopes(bench, Who.TANGLED_QUARTER, sizes.tangled // 4, tangled=True),
        _scopes(bench, Who.SCOPES, sizes.scopes, tangled=False),
        _scopes(bench, Who.SCOPES_TENTH, sizes.scopes // 10, tangled=False),
    ]
    title = (
        f"Wrong input: {wrong / 1024:g} MiB of wrong items, a plan file of {plan / 1024:g} MiB, "
        f"{sizes.tangled} sets with tangled scopes; {sizes.scopes:,} sets with separate scopes"
    )
    bench.contest(Key.HOSTILE, title, entrants, rounds=bench.few)


def _wrong_items(bench: Bench, kib: int) -> Path:
    """Write a set whose aliases are numbers, of so many KiB."""
    path = bench.folder / f"wrong-items-{kib}.yaml"
    head = _set(0, "  aliases: [")
    path.write_text(head + "1," * ((kib * 1024 - len(head)) // 2 - 1) + "1]\n")
    return path


def _wrong_plan(bench: Bench, kib: int) -> Path:
    """Write a plan file whose targets are numbers, of so many KiB."""
    path = bench.folder / f"wrong-plan-{kib}.json"
    path.write_text('{"kind": "Plan", "formatVersion": 2, "targets": [' + "1," * (kib * 512 - 30) + "1]}\n")
    return path


def _scopes(bench: Bench, who: Who, count: int, *, tangled: bool) -> Entrant:
    """Validate sets of one database, each with a scope.

    `tangled`: whether each has many patterns with many stars, so that it takes long to tell that no two overlap.
    """
    path = bench.folder / f"scopes-{count}-{tangled}.yaml"
    path.write_text("---\n".join([CONNECTION, *(_scoped(number, tangled=tangled) for number in range(count))]))
    return bench.ours(who, "validate", "-f", path, codes=REFUSED if tangled else frozenset({0}))


def _scoped(number: int, *, tangled: bool) -> str:
    if tangled:
        patterns = [f"*a{number:03}{each:02}*b*a*c*d*{number:03}x" for each in range(PATTERNS)]
        return _set(number, f"  scope: {{include: {patterns}}}\n")
    names = (f"{{name: s{number}_{each}, collection: c}}" for each in range(3))
    return _set(number, f"  scope: {{include: ['s{number}_*']}}\n  aliases: [{', '.join(names)}]\n")


def _set(number: int, spec: str) -> str:
    head = f"apiVersion: aliasctl.dev/v1alpha1\nkind: AliasSet\nmetadata: {{name: s{number}}}\n"
    return f"{head}spec:\n  connectionRef: {{name: main}}\n{spec}"
