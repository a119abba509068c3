"""What a suite tried, and what came of it.

A test asks for the fixture `tally`, opens a suite by name, and tries its cases within it:

    tried = tally("Connection cut around the call", "Milvus 2.3.5")
    with tried.case(faults=2):
        ...                           an assertion that fails in here is a violation
        tried.recovered(seconds)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4


@dataclass
class Tally:
    """The figures of one suite on one server.

    Args:
        suite: what was tried, as the page says it.
        server: on what, with its version.
        cases: how often.
        faults: what was done to it meanwhile, in all.
        violations: cases of which a promise did not hold.
        worst_recovery: seconds from the end of a fault until all was as wanted again, at worst; None if not measured.
        states: different states that were explored; 0 if faults are drawn at random, or one by one.
    """

    suite: str
    server: str
    cases: int = 0
    faults: int = 0
    violations: int = 0
    worst_recovery: float | None = None
    states: int = 0

    @contextmanager
    def case(self, faults: int = 0) -> Iterator[None]:
        """One case, with so many faults known beforehand; whatever is raised in it is a violation, and raised on."""
        self.cases += 1
        self.faults += faults
        try:
            yield
        except BaseException:
            self.violations += 1
            raise

    def recovered(self, seconds: float) -> None:
        """All was as wanted again, so long after the fault was over."""
        self.worst_recovery = max(seconds, self.worst_recovery or 0.0)


def write(tallies: Iterable[Tally], folder: Path) -> None:
    """Write each into a file of its own: tests run in several processes."""
    for tally in tallies:
        if tally.cases:
            (folder / f"{uuid4().hex}.json").write_text(json.dumps(asdict(tally)), encoding="utf-8")


def collect(folder: Path) -> list[Tally]:
    """All that were written into a folder, one for each suite and server, sorted."""
    found: dict[tuple[str, str], Tally] = {}
    for path in sorted(folder.glob("*.json")):
        item = Tally(**json.loads(path.read_text(encoding="utf-8")))
        key = (item.suite, item.server)
        found[key] = _sum(found[key], item) if key in found else item
    return [found[key] for key in sorted(found)]


def _sum(tally: Tally, other: Tally) -> Tally:
    recoveries = [seconds for seconds in (tally.worst_recovery, other.worst_recovery) if seconds is not None]
    added: dict[str, Any] = {
        name: getattr(tally, name) + getattr(other, name) for name in ("cases", "faults", "violations", "states")
    }
    return replace(tally, **added, worst_recovery=max(recoveries, default=None))
