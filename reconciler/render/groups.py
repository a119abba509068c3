"""The rows of a database by change: the aliases of one move together, and what they share once.

    Section ── Group (a change of one set) ── Batch (one wave, outcome and reason) ── Row

All formats draw these groups. A change of a single alias is a group with one batch of one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from reconciler.core.grouping import grouped
from reconciler.render.view import Gate, Remark, Row, Section, Topic, View, Weight
from reconciler.render.wording import GATE_SIGNS

PENDING = frozenset({"pendingVerification", "pendingRevert"})
"""Kinds of rows that a change of the same alias is not mixed with."""
_SEVERITY = {state: place for place, state in enumerate(GATE_SIGNS)}


class Batch(Struct, frozen=True):
    """Rows of a group that have everything but the alias in common.

    `gates`, `remarks` and `reason` are without what the whole group shares. `wave` is None where the set has only one.
    """

    wave: int | None
    kind: str
    label: str
    weight: Weight
    rows: tuple[Row, ...]
    gates: tuple[Gate, ...] = ()
    remarks: tuple[Remark, ...] = ()
    reason: str = ""

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(row.alias for row in self.rows)


class Group(Struct, frozen=True):
    """Rows of one set that make the same change: `current`, `desired` and `action` of each are the same.

    `gates` (failed ones first), `remarks` and `reason` are those that all rows share; the others are in the batches.
    The batches are in the order of their weight, then of their waves. `sign` and `weight` are of the most important
    row. `labels` are those of the rows with their numbers, the most important first.
    """

    sign: str
    set: str
    current: str
    desired: str
    action: str
    weight: Weight
    labels: tuple[tuple[str, int], ...]
    batches: tuple[Batch, ...]
    gates: tuple[Gate, ...] = ()
    remarks: tuple[Remark, ...] = ()
    reason: str = ""
    show_route: bool = True

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for batch in self.batches for row in batch.rows)


class Problem(Struct, frozen=True):
    """Why something failed or is blocked, with the rows that it concerns; all of them have this label and message."""

    label: str
    kind: str
    message: str
    weight: Weight
    rows: tuple[Row, ...]

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(row.alias for row in self.rows)


def groups_of(section: Section) -> tuple[Group, ...]:
    """Return the rows of a database by set and change, in the order of their first rows."""
    with_waves = {row.set for row in section.rows if row.wave}
    return tuple(_group(rows, row_set in with_waves) for (row_set, *_), rows in grouped(section.rows, _change).items())


def problems_of(view: View) -> tuple[Problem, ...]:
    """Return what failed or is blocked, the most severe first, each reason once with all of its rows."""
    return tuple(
        Problem(label, kind, message, weight, tuple(rows))
        for (label, kind, message, weight), rows in grouped(view.problems, _complaint).items()
    )


def _change(row: Row) -> tuple[str, str, str, str, str, bool]:
    pending = row.kind if row.kind in PENDING else ""
    return row.set, row.current, row.desired, row.action, pending, _is_pruned(row)


def _complaint(row: Row) -> tuple[str, str, str, Weight]:
    return row.label, row.kind, row.message, row.weight


def _is_pruned(row: Row) -> bool:
    return any(remark.topic is Topic.SCOPE for remark in row.remarks)


def _group(rows: Sequence[Row], with_waves: bool) -> Group:
    first = min(rows, key=lambda row: row.weight)
    gates = tuple(gate for gate in first.gates if all(gate in row.gates for row in rows))
    remarks = tuple(remark for remark in first.remarks if all(remark in row.remarks for row in rows))
    reason = first.reason if len({row.reason for row in rows}) == 1 else ""

    def batch(rows: Sequence[Row]) -> Batch:
        first = rows[0]
        return Batch(
            wave=first.wave if with_waves and not _is_pruned(first) else None,
            kind=first.kind,
            label=first.label,
            weight=first.weight,
            rows=tuple(rows),
            gates=_sorted(gate for gate in first.gates if gate not in gates),
            remarks=_shown(remark for remark in first.remarks if remark not in remarks),
            reason="" if reason else first.reason,
        )

    batches = map(batch, grouped(rows, _common).values())
    labels = grouped(sorted(rows, key=lambda row: row.weight), lambda row: row.label)
    return Group(
        sign=first.sign,
        set=first.set,
        current=first.current,
        desired=first.desired,
        action=first.action,
        weight=first.weight,
        labels=tuple((label, len(rows)) for label, rows in labels.items()),
        batches=tuple(sorted(batches, key=lambda batch: (batch.weight, batch.wave or 0))),
        gates=_sorted(gates),
        remarks=_shown(remarks),
        reason=reason,
        show_route=any(row.show_route for row in rows),
    )


def _common(row: Row) -> tuple[object, ...]:
    return row.wave, row.kind, row.label, row.weight, row.gates, row.remarks, row.reason


def _sorted(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    return tuple(sorted(gates, key=lambda gate: _SEVERITY[gate.state]))


def _shown(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Return the remarks without the wave, which is a field of its own."""
    return tuple(remark for remark in remarks if remark.topic is not Topic.WAVE)
