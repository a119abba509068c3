"""`docs/performance.md`, generated from the results only: no figure in it is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.goals import verdicts
from benchmarks.results import Results, Row, Scenario

HEAD = """\
<!-- Written by `make bench`; run it instead of changing this. -->
# Performance

What `aliasctl` costs. The numbers of calls to Milvus are exact, and the same on every machine. Times are for whole
processes, from start to exit, and are only comparable within a table: all entries of a table took turns, round after
round, on one machine.
"""

COLUMNS = """\
In the tables below, "relative" is the median of the ratios of each round to the first row. Memory is the peak resident
memory of the largest run. "Calls" are counted by a proxy in an additional run, and "at most" is the bound on calls that
follows from the [goals](#goals). One call of each process, `Connect`, is made by pymilvus itself.
"""

PEERS = """\
## What is compared

A tenth of the aliases, chosen at random but the same each time, have a desired collection that differs from the current
one. The database of the live scenarios contains the aliases of all scenarios.

- **Bare loop, writes only**: pymilvus's AsyncMilvusClient makes the same number of alters, with the same concurrency,
  but without a plan, a re-read, a journal or a read-back.
- **Bare loop, all calls**: sends the same calls as `aliasctl`, including reads, as serialized bytes over gRPC, with the
  same concurrency, and ignores the responses. A Python program that makes these calls takes at least this long.
- **Naive script**: reads each alias, one after the other, and prints the differences.
- **octoDNS**: plans the same number of CNAME records, YAML to YAML, in a virtual environment of its own, with its
  thresholds disabled. It reads with the pure Python parser of PyYAML; it has no setting for libyaml.
- **Terraform**: plans the same number of `terraform_data` resources, which are built in, with the state in a file.
- **Loading both files with libyaml only**: converts the two manifests to dicts. A program that reads them with PyYAML
  takes at least this long.
"""

GOALS = """\
## Goals

The "lower bound" is the value of a program that does the minimum possible work: it makes the same calls without
processing the responses, loads the same files, or only starts Python.
"""

REPEAT = """\
## Run the benchmark

`make bench` creates the virtual environments that it needs, starts its own Milvus server, and writes this page and
`benchmarks/results.json`, which contains every run. It requires Linux and an otherwise idle machine. Terraform is used
if it is on the PATH, and a Kubernetes API server if `KUBEBUILDER_ASSETS` names its folder.
"""


def page(results: Results) -> str:
    """Return the text of the page."""
    return "\n".join(_parts(results))


def _parts(results: Results) -> Iterator[str]:
    yield HEAD
    yield "## Summary\n"
    yield table(("", "command", "median", "memory", "calls"), map(_summary, results.scenarios))
    yield COLUMNS
    for scenario in results.scenarios:
        yield f"## {scenario.title}\n"
        yield scenario_table(scenario)
        if scenario.parts:
            shares = ", ".join(f"{part} {share:.0%}" for part, share in scenario.parts.items())
            yield f"Time of {scenario.rows[0].who}, under a profiler: {shares}.\n"
    yield PEERS
    yield GOALS
    rows = (
        (verdict.what, verdict.desired, verdict.measured, verdict.verdict, verdict.floor)
        for verdict in verdicts(results)
    )
    yield table(("", "goal", "measured", "result", "lower bound"), rows)
    yield "## Environment\n"
    facts = {"date": results.date, **results.machine, **results.versions}
    yield table(("", ""), facts.items())
    if results.missing:
        yield "## Not measured\n"
        yield table(("", "reason"), results.missing.items())
    yield REPEAT.rstrip("\n") + "\n"


def _summary(scenario: Scenario) -> list[str]:
    who, median, *_, memory, calls, _ = _cells(scenario, scenario.rows[0])
    return [scenario.title, who, median, memory, calls]


def scenario_table(scenario: Scenario) -> str:
    """Return one row per entry; empty columns are left out."""
    head = ("", "median", "95th percentile", "range", "relative", "CPU", "memory", "calls", "at most")
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
    """Return a Markdown table, followed by an empty line."""
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
