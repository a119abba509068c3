"""What is explored: small sets, under several kinds of faults."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.catalog.memory import Flavour
from reconciler.core.model import Alias, AliasSet, OnFailure, Propagation, Verify
from tests.builders import alias_set
from tests.explore.explorer import Case
from tests.explore.world import ONE_AT_A_TIME, Faults

A, B = Alias("a", "new"), Alias("b", "new")
GONE, LATER = Alias("a", None), Alias("b", "new", wave=1)
APPLY, EITHER = ("apply",), ("apply", "rollback")


def desired(
    *aliases: Alias, on_failure: OnFailure, include: tuple[str, ...] = (), verify: Verify = Verify()
) -> list[AliasSet]:
    settings = {"on_failure": on_failure, "include": include, "verify": verify}
    return [alias_set({}, *aliases, connection=ONE_AT_A_TIME, **settings)]  # type: ignore[arg-type]


def shapes(suite: str, verify: Verify = Verify(), names: str = "") -> Iterator[Case]:
    """Yield small sets, with Stop and with Revert; only those whose name is among some names, if there are any."""
    for mode in OnFailure:
        for name, before, aliases, include in (
            ("alter", {"a": "old"}, (A,), ()),
            ("create", {}, (A,), ()),
            ("drop", {"a": "old"}, (GONE,), ()),
            ("scope drop", {"a": "old", "s_x": "old"}, (A,), ("s_*",)),
            ("two aliases", {"a": "old", "b": "older"}, (A, B), ()),
            ("two waves", {"a": "old", "b": "old"}, (A, LATER), ()),
        ):
            if not names or name in names.split(", "):
                sets = desired(*aliases, on_failure=mode, include=include, verify=verify)
                yield Case(suite, f"{name}, {mode}", sets, dict(before))


SMALL = [case._replace(quick=3, deep=4) for case in shapes("calls lost, late or refused, aliases moved by others")]
"""One run, and what follows without faults."""

ANYWHERE = [
    case._replace(
        faults=Faults(("other", "old", "new", None), writes=("answer lost", "late", "refused", "rate limited")),
        quick=1,
        deep=2,
    )
    for case in shapes("aliases moved to any place, or dropped, by others")
]

CRASHES = [
    case._replace(faults=Faults(dies=True), runs=(APPLY, EITHER, EITHER), quick=1, deep=2)
    for case in shapes("crashes, then two runs or rollbacks")
]

FULL_DISKS = [
    case._replace(faults=Faults(disk=True, stop=True), runs=(APPLY, EITHER), quick=1, deep=2)
    for case in shapes("a full disk, a signal, then a run or rollback")
]

SOAKS = [
    case._replace(faults=Faults(readers=True, dies=True), runs=(APPLY, APPLY), quick=1, deep=2)
    for case in shapes(
        "failing readers and crashes in a soak, then a run",
        Verify(soak=0.4),
        "alter, create, two aliases, two waves",
    )
]

PROPAGATION = [
    case._replace(
        faults=Faults(readers=True, stuck=(1, 99)),
        flavour=Flavour.MILVUS_2_3,
        runs=(APPLY, APPLY),
        quick=2 if case.name == "alter, Stop" else 1,
        deep=2 if len(case.before) == 1 else 1,
    )
    for case in shapes(
        "failing and stuck readers in a proof, then a run",
        Verify(propagation=Propagation(timeout=1.6)),
        "alter, two aliases, two waves",
    )
]

ANOTHER_RUN = [
    case._replace(
        name=f"{case.name}, {name}",
        faults=Faults(another_run=True),
        runs=(APPLY, APPLY),
        others=others or case.sets,
        quick=1,
        deep=2,
    )
    for case in shapes("another run between any two calls, then a run")
    for name, others in (
        ("the same", ()),
        ("another state", [alias_set({"a": "other", "b": "other"}, name="theirs", connection=ONE_AT_A_TIME)]),
    )
]

ALL = [*SMALL, *ANYWHERE, *CRASHES, *FULL_DISKS, *SOAKS, *PROPAGATION, *ANOTHER_RUN]
