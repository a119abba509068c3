"""Records of the journal about a run: who started it, and the outcomes of its steps."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import UTC, datetime
from enum import StrEnum
from secrets import token_hex
from typing import Annotated

from msgspec import Meta, Struct

from reconciler.core.model import Connection, Target, Verify
from reconciler.core.plan import Step
from reconciler.core.provenance import Provenance
from reconciler.core.record import ALWAYS, INLINE, Count, Record
from reconciler.core.report import Outcome, StepResult


class Act(StrEnum):
    """What a call is for.

    `move`: the step's own call. `heal`: the same alter again, for readers that are stuck at the old collection.
    `revert`: undoing the step.
    """

    MOVE = "move"
    HEAL = "heal"
    REVERT = "revert"


class Origins(Record, frozen=True):
    """Who runs this, and from what."""

    user: str
    host: str
    pid: Annotated[Count, Meta(description="The process.")]
    source: Annotated[tuple[str, ...], Meta(description="What it was given: paths, a repository, a run."), ALWAYS] = ()
    command: Annotated[str, Meta(description="apply, rollback, sync or operator."), ALWAYS] = "apply"
    provenance: Provenance = Provenance()

    @classmethod
    def of_this_process(
        cls, *, command: str = "apply", source: tuple[str, ...] = (), provenance: Provenance | None = None
    ) -> Origins:
        """Return the origins of a run in this process, with the system's names of user and host."""
        try:
            user = getpass.getuser()
        except (
            OSError,
            KeyError,
            ImportError,
        ):  # a container's user may have no name; the error depends on Python
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid(), source, command, provenance or Provenance())


class RunState(StrEnum):
    """How far a run got.

    `interrupted`: it has no end, and its process is gone. `unfinished`: it has no end, and ran on another host, where
    its process cannot be checked.
    """

    ENDED = "ended"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    UNFINISHED = "unfinished"


class PastTarget(Struct, frozen=True):
    """One database of a run: how it was reached, and the verification of each set, by the set's name."""

    target: Target
    connection: Connection
    verify: dict[str, Verify]


class PastStep(Record, frozen=True):
    """One step of a recorded run, with its outcome if one was recorded."""

    target: Annotated[Target, INLINE]
    step: Annotated[Step, INLINE]
    result: Annotated[StepResult | None, INLINE]
    begun: Annotated[Act | None, Meta(description="A call that may or may not have been made.")] = None

    @property
    def outcome(self) -> Outcome | None:
        """Return the last recorded outcome."""
        return self.result.outcome if self.result else None


class Applied(Struct, frozen=True):
    """Where a run last put an alias; None where it dropped it. `ended`: when, RFC 3339, if that is known."""

    run: str
    collection: str | None
    ended: str | None = None


def new_run_id() -> str:
    """Return a new run ID that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(3)}"
