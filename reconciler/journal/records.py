"""What the journal knows of a run: who started it, and what became of its steps. Records only."""

from __future__ import annotations

import getpass
import os
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Self

from reconciler.core.model import Connection, Target, Verify
from reconciler.core.plan import Step
from reconciler.core.report import Outcome, StepResult


class Act(StrEnum):
    """What a call is for: `move` is the step's own, `heal` the same alter again for readers that are stuck at the old
    collection, `revert` undoes the step."""

    MOVE = "move"
    HEAL = "heal"
    REVERT = "revert"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a wish comes from; empty texts are not known.

    Args:
        commit: the id of the commit.
        author: of the commit, as `Name <address>`.
        ref: the branch or tag.
        repository: its address, without credentials.
        signature: what the commit's signature is worth, and by whom.
        pipeline: the page of the pipeline that carried it here.
        modified: whether the files differ from the commit.
    """

    commit: str = ""
    author: str = ""
    ref: str = ""
    repository: str = ""
    signature: str = ""
    pipeline: str = ""
    modified: bool = False

    def known(self) -> dict[str, str | bool]:
        """What is known, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of(cls, known: Mapping[str, object]) -> Self:
        """The reverse of `known`; what is no text is left out."""
        names = [field.name for field in fields(cls) if field.name != "modified"]
        texts = {name: value for name in names if isinstance(value := known.get(name), str)}
        return cls(**texts, modified=known.get("modified") is True)


@dataclass(frozen=True, slots=True)
class Origins:
    """Who runs this, and from what: files, another run; `command` is `apply`, `rollback`, `sync` or `operator`."""

    user: str
    host: str
    pid: int
    source: tuple[str, ...] = ()
    command: str = "apply"
    provenance: Provenance = field(default_factory=Provenance)

    @classmethod
    def of_this_process(
        cls, *, command: str = "apply", source: tuple[str, ...] = (), provenance: Provenance | None = None
    ) -> Origins:
        """This process, with the user and host as the system names them."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container's user has no name; which of them depends on Python
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid(), source, command, provenance or Provenance())


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
