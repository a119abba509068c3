"""What the journal knows of a run: who started it, and what became of its steps. Records only."""

from __future__ import annotations

import getpass
import os
import socket
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model import Connection, Target, Verify
from reconciler.plan import Step
from reconciler.report import Outcome, StepResult


class Act(StrEnum):
    """What a call is for: `move` is the step's own, `heal` the same alter again for readers that are stuck at the old
    collection, `revert` undoes the step."""

    MOVE = "move"
    HEAL = "heal"
    REVERT = "revert"


@dataclass(frozen=True, slots=True)
class Origins:
    """Who runs this, and from what: files, a commit, another run. `command` is `apply` or `rollback`."""

    user: str
    host: str
    pid: int
    source: tuple[str, ...] = ()
    command: str = "apply"

    @classmethod
    def of_this_process(cls, *, command: str = "apply", source: tuple[str, ...] = ()) -> Origins:
        """This process, with the user and host as the system names them."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container's user has no name; which of them depends on Python
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid(), source, command)


class RunState(StrEnum):
    """`interrupted`: it has no end, and its process is gone. `unfinished`: it has no end, and ran on another host,
    where nobody can look."""

    ENDED = "ended"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended; `stopped` says that a signal ended it early. `time` is RFC 3339, UTC."""

    time: str
    exit_code: int
    counts: Counter[Outcome]
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class PastTarget:
    """One database of a run: how it was reached, and what followed the changes of each set, by the set's name."""

    target: Target
    connection: Connection
    verify: dict[str, Verify]


@dataclass(frozen=True, slots=True)
class PastStep:
    """One step of a run, in the order in which they were begun.

    `result` is None where none was recorded. `begun` says what was about to be done when the record ends: that call
    may or may not have been made.
    """

    target: Target
    step: Step
    result: StepResult | None
    begun: Act | None = None

    @property
    def outcome(self) -> Outcome | None:
        """The last outcome that was recorded."""
        return self.result.outcome if self.result else None
