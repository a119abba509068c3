"""The form of an exercise, and of what it sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.catalog.server_behaviour import ServerBehaviour
from reconciler.core.model import Certainty
from reconciler.exercise.guards import Guard

if TYPE_CHECKING:
    from reconciler.exercise.session import Session

DONE, REFUSED = "done", "refused"
"""Results of a call: it was carried out, or the server gave any error."""


class Observation(Struct, frozen=True):
    """What an exercise saw.

    Args:
        result: `done`, the name of one of our errors, or a few words.
        code: Milvus's error code, if the server answered with one.
        detail: figures, for people.
    """

    result: str
    code: int | None = None
    detail: str = ""


class NotObserved(Exception):
    """Raised by an exercise for which there is nothing to see on this server, or in this database; says why."""


class Exercise(Struct, frozen=True):
    """One behaviour of a server that a guard relies on.

    Args:
        name: the case, as the report shows it.
        observe: exercises the server.
        guard: which relies on it.
        yes: the acceptable results, if the server behaves as `row` says; of every server, if there is no row.
        row: the row of the table of server behaviour that it depends on.
        no: the acceptable results, if the server does not behave so; none if there is nothing to exercise then.
        lite: the acceptable results on Milvus Lite, where they differ.
    """

    name: str
    observe: Callable[[Session], Observation]
    guard: Guard
    yes: tuple[str, ...]
    row: str = ""
    no: tuple[str, ...] = ()
    lite: tuple[str, ...] | None = None

    def expected(self, behaviour: ServerBehaviour) -> tuple[str, ...]:
        """Return the acceptable results; for a version that is not known, those of all versions it can be."""
        if behaviour.is_lite and self.lite is not None:
            return self.lite
        certainty = getattr(behaviour, self.row) if self.row else Certainty.YES
        accepted = {
            Certainty.YES: self.yes,
            Certainty.NO: self.no,
            Certainty.POSSIBLE: (*self.yes, *(result for result in self.no if result not in self.yes)),
        }
        return accepted[certainty]

    def shows(self, result: str) -> bool | None:
        """Return whether a result shows that the server behaves as the row says; None if it does not show it."""
        if not self.row or (result in self.yes) is (result in self.no):
            return None
        return result in self.yes
