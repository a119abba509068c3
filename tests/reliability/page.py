"""`docs/reliability.md`, made of the tallies of one run and nothing else: no figure in it is written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.page import table
from tests.reliability.tally import Tally

HEAD = """\
<!-- Written by `make soak`; run it instead of changing this. -->
# Reliability

What was tried to break `aliasctl`, on real servers, and how often a promise did not hold. A case is one run, or one
round of several; a fault is a connection cut, an answer lost or late, a process killed, a server restarted, a change
behind our back, a hostile input. A violation is a case in which an alias was anywhere but at its old or new target, a
report or the journal said what was not so, another's change was overwritten, a secret was seen, or the next run did not
finish the work.
"""

REPEAT = """\
## Repeat it

`make soak` makes the virtual environments that it needs, starts Milvus servers of its own, and writes this page and
`tests/reliability/results.json`. Linux on x86-64 only. CI runs the same suites with fewer rounds. Every schedule of
faults is drawn from a seed, which a failure prints.
"""


@dataclass(frozen=True)
class Results:
    """One run: its date, what it ran on by property, how long it took in seconds, and its tallies."""

    date: str
    machine: Mapping[str, str]
    seconds: int
    tallies: Sequence[Tally]


def page(results: Results) -> str:
    """The page's text."""
    rows = [_cells(tally) for tally in results.tallies]
    facts = {"date": results.date, "took": f"{results.seconds / 60:.0f} minutes", **results.machine}
    return (
        "\n".join(
            [
                HEAD,
                table(("suite", "server", "cases", "faults", "violations", "worst time to recover"), rows),
                "## Where and when\n",
                table(("", ""), facts.items()),
                REPEAT,
            ]
        ).rstrip("\n")
        + "\n"
    )


def _cells(tally: Tally) -> list[str]:
    recovery = "" if tally.worst_recovery is None else f"{tally.worst_recovery:.1f} s"
    return [tally.suite, tally.server, f"{tally.cases:,}", f"{tally.faults:,}", f"{tally.violations:,}", recovery]


def save(results: Results, path: Path) -> None:
    path.write_text(json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    document = json.loads(path.read_text(encoding="utf-8"))
    tallies = [Tally(**item) for item in document.pop("tallies")]
    return Results(**document, tallies=tallies)
