"""`docs/reliability.md`, generated from the tallies of one run only: no figure in it is written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.page import table
from tests.reliability.tally import Tally

HEAD = """\
<!-- Written by `make soak`; run it instead of changing this. -->
# Reliability test results

The fault tests of `aliasctl`, and how often each violated a guarantee. A case is one run, or one round of several
runs. A fault is a dropped connection, a lost or delayed response, a killed process, a restarted server, a concurrent
change, or hostile input. A case is a violation if an alias was anywhere other than at its current or desired
collection, a report or the journal was wrong, a change by someone else was overwritten, a secret was exposed, or the
next run did not finish the work.
"""

EXPLORED = """\
## Exploration of the core

In these suites planning, execution and the decisions of the journal are executed again for *every* schedule of up to
that many faults, on small sets of one or two aliases, with `onFailure: Stop` and `Revert`. A state that was reached
before is explored once. What must hold is written down in `tests/explore/promises.py`. From every state that a run can
leave, two runs without faults settle it. To show that the promises mean something, small mutations of the core are
explored too: one that breaks no promise would be a violation in the table above.
"""

REPEAT = """\
## Run the tests

`make soak` creates the virtual environments that it needs, starts its own Milvus servers, and writes this page and
`tests/reliability/results.json`. It requires Linux on x86-64. CI runs the same suites with fewer rounds. Every schedule
of faults is derived from a seed, which is printed on failure.
"""


@dataclass(frozen=True)
class Results:
    """One run: its date, what it ran on by property, how long it took in seconds, and its tallies."""

    date: str
    machine: Mapping[str, str]
    seconds: int
    tallies: Sequence[Tally]


def page(results: Results) -> str:
    """Return the text of the page."""
    rows = [_cells(tally) for tally in results.tallies]
    facts = {"date": results.date, "duration": f"{results.seconds / 60:.0f} minutes", **results.machine}
    return (
        "\n".join(
            [
                HEAD,
                table(("suite", "server", "cases", "faults", "violations", "longest recovery"), rows),
                *_explored(results.tallies),
                "## Environment\n",
                table(("", ""), facts.items()),
                REPEAT,
            ]
        ).rstrip("\n")
        + "\n"
    )


def _explored(tallies: Sequence[Tally]) -> list[str]:
    """Return the section about suites that explore every schedule, if there are any."""
    rows = [(tally.suite, f"{tally.cases:,}", f"{tally.states:,}") for tally in tallies if tally.states]
    return [EXPLORED, table(("suite", "executions", "states"), rows)] if rows else []


def _cells(tally: Tally) -> list[str]:
    recovery = "" if tally.worst_recovery is None else f"{tally.worst_recovery:.1f} s"
    return [tally.suite, tally.server, f"{tally.cases:,}", f"{tally.faults:,}", f"{tally.violations:,}", recovery]


def save(results: Results, path: Path) -> None:
    path.write_text(json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    document = json.loads(path.read_text(encoding="utf-8"))
    tallies = [Tally(**item) for item in document.pop("tallies")]
    return Results(**document, tallies=tallies)
