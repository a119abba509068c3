"""Gate `canary`: searches on the new collection find nearly what they find on the current one.

Why: a collection can be complete, indexed and loaded, and still answer with the wrong neighbours: a wrong model,
vectors that were not normalised, rows paired with vectors of others. overlap@k of a query is the share of the first k
hits on the current collection that are among the first k on the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from reconciler.core.fields import FilePath, MilvusName, about
from reconciler.core.gates import ContentFile, GateSettings
from reconciler.core.json_schema import Rule
from reconciler.core.model import Schema
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.core.text import counted, listed, rounded
from reconciler.gates.comparison import Comparison, NamedQuery, Side, compare
from reconciler.gates.gate import Call, Ends, Gate, required_if_on
from reconciler.gates.probe import CannotTell, Probe, has_current, schemas
from reconciler.gates.query_vectors import read_queries
from reconciler.gates.sampling import from_file, sampled

WORST_SHOWN = 3
SHORTEST_SECONDS = 0.001
"""Shorter times count as this: below it a ratio would measure the network."""
FLOAT_VECTOR = "FLOAT_VECTOR"
Share = Annotated[float, Meta(ge=0, le=1)]
Ratio = Annotated[float, Meta(gt=0, le=1000)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class CanaryGate(GateSettings, frozen=True):
    """How nearly searches on both collections must find the same.

    The queries come from a file, or else are `sample` rows of the current collection. `k` is how many hits of each
    search are compared, `min_overlap` the least mean share of them that both find (0 to 1), `max_latency_ratio` how
    much slower the desired collection may be. `field` is the vector field; None where the collections have only one.
    """

    gate = "canary"
    rules = (
        required_if_on("minOverlap", "a canary gate needs minOverlap: the least share of hits in common, 0 to 1"),
        Rule(
            message="queriesFile and sample exclude each other", json={"not": {"required": ["queriesFile", "sample"]}}
        ),
    )
    file = ContentFile("queriesFile", "queriesSha256", "queries file", lambda path: read_queries(path)[1])

    min_overlap: Annotated[Share, about("Minimum share of hits that both collections find, on average.")]
    k: Annotated[int, Meta(ge=1, le=1000), about("Number of hits of each search to compare.")] = 10
    max_latency_ratio: Annotated[
        Ratio | None, about("Maximum latency ratio to searches on the current collection (> 0).")
    ] = None
    queries_file: Annotated[
        FilePath | None, about("File of queries (JSON Lines) to use instead of rows; relative to the manifest.")
    ] = None
    queries_sha256: Annotated[Sha256 | None, about("Of its content.")] = None
    sample: Annotated[int, Meta(ge=1, le=200), about("Number of rows sampled as queries.")] = 20
    field: Annotated[MilvusName | None, about("The vector field; needed where a collection has several.")] = None

    def specification(self, *, paths: bool = True) -> dict[str, object]:
        """Return the settings without `sample` where a file has the queries."""
        found = super().specification(paths=paths)
        return {name: value for name, value in found.items() if not (self.queries_file and name == "sample")}


def _check(gate: CanaryGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter.

    Aliases that move between the same two collections with the same settings share one comparison.
    """
    current, desired = has_current(step.current), step.desired or ""
    return probe.once((gate.gate, current, desired, gate), lambda: _compared(current, desired, gate, probe))


def _compared(current: str, desired: str, gate: CanaryGate, probe: Probe) -> GateResult:
    before, after = _sides(current, desired, gate.field, probe)
    if gate.queries_file:
        queries, missing = from_file(gate.queries_file, gate.queries_sha256, before, after), 0
    else:
        queries, missing = sampled(probe, before, after, gate.sample)
    comparison = compare(probe, before, after, queries, gate.k, timed=gate.max_latency_ratio is not None)
    return _judged(gate, queries, missing, comparison, before, after)


def _sides(current: str, desired: str, field: str | None, probe: Probe) -> tuple[Side, Side]:
    before, after = schemas(current, desired, probe)
    # The new one first: a field that neither has is a mistake, and must not pass because the current one lacks it.
    new = side_of(desired, after, field, Verdict.UNKNOWN)
    old = side_of(current, before, field, Verdict.NOT_APPLICABLE)
    if old.primary.type != new.primary.type:
        types = f"{old.primary.type} in {current} and {new.primary.type} in {desired}"
        raise CannotTell(Verdict.UNKNOWN, f"hits cannot be compared: the primary key is {types}")
    return old, new


def side_of(
    collection: str, schema: Schema, field: str | None, if_missing: Verdict, *, gate: str = CanaryGate.gate
) -> Side:
    """Return a collection, its primary key and the field to search. Raises `CannotTell`, whose remedy names `gate`."""
    names = [vector.name for vector in schema.vectors]
    if field is None and len(names) > 1:
        remedy = f"name one in gates.{gate}.field: {listed(names)}"
        raise CannotTell(Verdict.UNKNOWN, f"{collection} has several vector fields; {remedy}")
    vector = next((vector for vector in schema.vectors if field in (None, vector.name)), None)
    if vector is None or schema.primary is None:
        missing = f"vector field {field}; it has {listed(names)}" if field and names else "vector field"
        raise CannotTell(if_missing, f"{collection} has no {missing}")
    if vector.type != FLOAT_VECTOR:
        raise CannotTell(
            Verdict.UNKNOWN,
            f"{vector.name} of {collection} is a {vector.type}; only a {FLOAT_VECTOR} is supported",
        )
    return Side(collection, schema.primary, vector)


class _Finding(Struct, frozen=True):
    """One measurement: its figures, in a few words, and what is wrong with it."""

    figures: dict[str, Figure]
    words: str
    trouble: str = ""


def _judged(
    gate: CanaryGate, queries: Sequence[NamedQuery], missing: int, comparison: Comparison, before: Side, after: Side
) -> GateResult:
    findings = [_overlap(gate, queries, missing, comparison.overlaps, after)]
    if comparison.seconds and gate.max_latency_ratio:
        findings.append(_latency(gate.max_latency_ratio, *comparison.seconds, before, after))
    figures = {name: figure for finding in findings for name, figure in finding.figures.items()}
    if troubles := [finding.trouble for finding in findings if finding.trouble]:
        return GateResult(gate.gate, Verdict.FAIL, "; ".join(troubles), figures)
    return GateResult(gate.gate, Verdict.PASS, ", ".join(finding.words for finding in findings), figures)


def _overlap(
    gate: CanaryGate, queries: Sequence[NamedQuery], missing: int, overlaps: Sequence[float | None], desired: Side
) -> _Finding:
    shares = [(share, item.name) for item, share in zip(queries, overlaps, strict=True) if share is not None]
    if not shares:
        raise CannotTell(Verdict.NOT_APPLICABLE, "no query has hits on the current collection")
    counts = [share for share, _ in shares] + [0.0] * missing  # no query finds a missing row any more
    from statistics import fmean  # not needed to read a manifest

    mean = fmean(counts)
    figures: dict[str, Figure] = {
        "overlap": round(mean, 4),
        "k": gate.k,
        "queries": len(shares),
        "overlaps": tuple(round(share, 4) for share in counts),
    }
    silent = len(queries) - len(shares)
    figures |= {"withoutHits": silent} if silent else {}
    figures |= {"missing": missing} if missing else {}
    shown = f"overlap@{gate.k} {rounded(mean, gate.min_overlap, digits=2)}"
    number = counted(len(counts), "query")
    lacking = _missing(missing, len(queries) + missing, desired.collection)
    if round(mean, 9) >= gate.min_overlap:  # 0.7 + 0.5 is no exact 1.2
        return _Finding(figures, ", ".join(filter(None, (f"{shown} over {number}", lacking))))
    need = max(f"{gate.min_overlap:.2f}", str(gate.min_overlap), key=len)
    worst = _worst(sorted(shares, key=lambda share: share[0])[:WORST_SHOWN], mean)
    found = f"{shown}, need ≥ {need} ({number}; worst {'queries' if gate.queries_file else 'rows'} {worst})"
    remedy = f"check the embedding job of {desired.collection}"
    if desired.primary.auto_id:
        remedy += " and that its keys are the same: the server assigns them (auto_id)"
    return _Finding(figures, "", "; ".join(filter(None, (found, lacking, remedy))))


def _worst(shares: Sequence[tuple[float, str]], mean: float) -> str:
    """Return the names of queries, each with its share; without, if all have the mean."""
    if all(share == mean for share, _ in shares):
        return ", ".join(name for _, name in shares)
    return ", ".join(f"{name} ({share:.2f})" for share, name in shares)


def _missing(rows: int, sample: int, collection: str) -> str:
    verb = "is" if rows == 1 else "are"
    return f"{rows} of {counted(sample, 'sample row')} {verb} missing from {collection}" if rows else ""


def _latency(limit: float, before: float, after: float, current: Side, desired: Side) -> _Finding:
    ratio = after / max(before, SHORTEST_SECONDS)
    figures: dict[str, Figure] = {
        "latencyRatio": round(ratio, 3),
        "latencyMs": round(after * 1000, 3),
        "currentLatencyMs": round(before * 1000, 3),
    }
    shown = rounded(ratio, limit)
    if ratio <= limit:
        return _Finding(figures, f"{shown} times the latency")
    times = f"{after * 1000:,.1f} ms against {before * 1000:,.1f} ms"
    return _Finding(
        figures,
        "",
        f"searches on {desired.collection} take {shown} times as long as on {current.collection} ({times}), need ≤ "
        f"{limit}; compare its index, and check that its segments are compacted",
    )


GATE = Gate(
    settings=CanaryGate,
    about="Searches on the collection find nearly the same as on the current one.",
    check=_check,
    needs={Call.QUERY: Ends.BOTH, Call.SEARCH: Ends.BOTH},
    costly=True,
    watched=True,
)
