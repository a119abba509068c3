"""`docs/performance.md`, made of the results and nothing else: no figure in it is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.goals import verdicts
from benchmarks.results import Results, Row, Scenario

HEAD = """\
<!-- Written by `make bench`; run it instead of changing this. -->
# Performance

What `aliasctl` costs, in calls to Milvus first: those are exact, and the same on every machine. Times are of whole
processes, from start to exit, and mean something only beside each other: all that share a table took turns, round after
round, on one machine. A ratio is the median of the ratios of the rounds. The floor is the ratio of who does only
what cannot be left out: makes the same calls with no look at the answers, loads the same files, or starts Python.
"""

PEERS = """\
## What is compared

A tenth of the aliases, drawn at random but each time the same, is wanted on another collection. The database of the
live scenarios has the aliases of all of them. Memory is the peak of what was resident, in the hungriest run. "Calls"
are counted by a proxy in one more run, and "at most" is what the rule of the first goals makes of the shape. One call
of each process, `Connect`, is pymilvus's own.

- **Bare loop of the writes**: pymilvus's AsyncMilvusClient alters as many aliases, with as many calls in flight as we
  have, without a plan, a second look, a journal or a read-back.
- **Bare loop of all our calls**: sends every call that we make, reads too, as prepared bytes over gRPC, with as many in
  flight, and looks at no answer. Whoever makes these calls from Python takes that long at least.
- **Naive script**: asks for each alias, one after the other, and prints what differs.
- **octoDNS**: plans as many CNAME records, YAML to YAML, from a virtual environment of its own, its thresholds out of
  the way. It reads with PyYAML's own parser; it has no setting for libyaml.
- **Terraform**: plans as many `terraform_data` resources, which are built in, with the state in a file.
- **Both files loaded with libyaml**: makes dicts of the two manifests. Whoever reads them with PyYAML takes that long
  at least.
"""

REPEAT = """\
## Repeat it

`make bench` makes the virtual environments that it needs, starts a Milvus of its own, and writes this page and
`benchmarks/results.json`, which has every single run. Linux only; let the machine do nothing else. Terraform is
looked for on the PATH, and a Kubernetes API server in the folder that `KUBEBUILDER_ASSETS` names.
"""


def page(results: Results) -> str:
    """The page's text."""
    return "\n".join(_parts(results))


def _parts(results: Results) -> Iterator[str]:
    yield HEAD
    yield "## Goals\n"
    rows = (
        (verdict.what, verdict.desired, verdict.measured, verdict.verdict, verdict.floor)
        for verdict in verdicts(results)
    )
    yield table(("", "goal", "measured", "", "floor"), rows)
    for scenario in results.scenarios:
        yield f"## {scenario.title}\n"
        yield scenario_table(scenario)
        if scenario.parts:
            shares = ", ".join(f"{part} {share:.0%}" for part, share in scenario.parts.items())
            yield f"Time of {scenario.rows[0].who}, under a profiler: {shares}.\n"
    yield PEERS
    yield "## Where and when\n"
    facts = {"date": results.date, **results.machine, **results.versions}
    yield table(("", ""), facts.items())
    if results.missing:
        yield "## Not measured\n"
        yield table(("", "because"), results.missing.items())
    yield REPEAT.rstrip("\n") + "\n"


def scenario_table(scenario: Scenario) -> str:
    """One row for each who took part; columns that nobody fills are left out."""
    head = ("", "median", "95th percentile", "from – to", "to the first", "CPU", "memory", "calls", "at most")
    rows = [_cells(scenario, row) for row in scenario.rows]
    filled = [index for index in range(len(head)) if any(row[index] for row in rows)]
    return table([head[index] for index in filled], ([row[index] for index in filled] for row in rows))


def _cells(scenario: Scenario, row: Row) -> list[str]:
    ratio = scenario.ratio(row.who, scenario.rows[0].who)
    calls, bound = (row.calls.counted, row.calls.bound) if row.calls else (None, None)
    return [
        row.who,
        f"{row.median_seconds:.2f} s" if row.seconds else "",
        f"{row.p95_seconds:.2f} s" if row.p95_seconds else "",
        f"{min(row.seconds):.2f} – {max(row.seconds):.2f} s" if row.seconds else "",
        f"{ratio:.2f}" if ratio else "",
        f"{row.median_cpu_seconds:.2f} s" if row.cpu_seconds else "",
        f"{row.peak / 1e6:.0f} MB" if row.peak_bytes else "",
        "" if calls is None else f"{calls:,}",
        "" if bound is None else f"{bound:,}",
    ]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, with an empty line behind it."""
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
