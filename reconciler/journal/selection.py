"""Which recorded runs are meant."""

from __future__ import annotations

from msgspec import Struct

from reconciler.core.report import Outcome

LAST_OF_STEP = """outcome = ? AND NOT EXISTS (
  SELECT 1 FROM entry AS later WHERE later.run = entry.run AND later.alias = entry.alias
  AND +later.address = entry.address AND +later.database = entry.database
  AND later.outcome IS NOT NULL AND later.number > entry.number)"""
"""Of several results of a step the last one counts."""


class Selection(Struct, frozen=True):
    """Which runs are selected; by default all.

    Args:
        alias: those that have entries about this alias.
        set: those that have entries about this set.
        outcome: those of which a step ended so.
        since: those that did something at this time or later; seconds since 1970.
        changed: those that changed an alias, or may have, or may yet.
        prefix: those whose ID starts so.
    """

    alias: str | None = None
    set: str | None = None
    outcome: Outcome | None = None
    since: float | None = None
    changed: bool | None = None
    prefix: str | None = None

    def where(self) -> tuple[str, tuple[object, ...]]:
        """Return the condition on `run`, and its parameters."""
        entry = "EXISTS (SELECT 1 FROM entry WHERE entry.run = run.id AND {})"
        conditions = {
            entry.format("alias = ?"): self.alias,
            entry.format("set_key = ?"): self.set,
            entry.format(LAST_OF_STEP): self.outcome,
            "last >= ?": self.since,
            "(changed OR NOT ended) = ?": self.changed,
            "instr(id, ?) = 1": self.prefix,
        }
        used = {condition: value for condition, value in conditions.items() if value is not None}
        return " AND ".join(used) or "true", tuple(used.values())


ALL = Selection()
