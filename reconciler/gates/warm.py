"""Gate `warm`: searches on the new collection are as fast as they should be, before readers get there.

Why: from Milvus 2.6 on a collection is reported as loaded before its data is in memory or on local disk (#47627, read,
not measured), and the first searches after a move pay for it. The gate sends the searches that would, again and again,
until they are fast. Each is sent by itself, without strong consistency, whose wait hides how long a search takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, inf, isfinite
from time import perf_counter
from typing import Annotated

from reconciler.core.durations import Duration
from reconciler.core.errors import CallTimedOut
from reconciler.core.fields import MilvusName, about
from reconciler.core.gates import GateSettings
from reconciler.core.model import Vector
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.core.text import counted
from reconciler.gates.canary import CanaryGate, side_of
from reconciler.gates.comparison import Side
from reconciler.gates.gate import Call, Ends, Gate, required_if_on
from reconciler.gates.probe import CannotTell, Probe, of_desired
from reconciler.gates.sampling import check_dimension, queries_of, sample

GOOD_ROUNDS = 2
"""Consecutive rounds at or below the limit: a single one can be luck."""
SAMPLE, HITS = 20, 10
"""Searches of a round, and hits of each, where no canary says otherwise."""

Search = tuple[Vector, str]
"""A vector, and a filter."""


class WarmGate(GateSettings, frozen=True):
    """How fast searches on the desired collection must be, and how long to wait for that.

    The searches are those of the alias's gate `canary`; without one, they are 20 rows of the desired collection.
    """

    gate = "warm"
    rules = (required_if_on("maxP95", "a warm gate needs maxP95: the latency to reach, such as 50ms"),)

    max_p95: Annotated[Duration, about("Latency that 95 % of the searches of a round may have: above 0s, at most 1h.")]
    timeout: Annotated[Duration, about("Time for the latency to settle: above 0s, at most 1h.")] = Duration(120)
    field: Annotated[MilvusName | None, about("The vector field; needed where a collection has several.")] = None


def _check(gate: WarmGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter. Aliases of one collection with the same settings share the searches."""
    collection, canary = step.desired or "", step.gates.get(CanaryGate)
    return probe.once((gate, collection, canary), lambda: _warmed(gate, canary, collection, probe))


def _warmed(gate: WarmGate, canary: CanaryGate | None, collection: str, probe: Probe) -> GateResult:
    """Repeat the searches until they are fast enough, or the time is up."""
    with of_desired(f"{collection} cannot be searched"):
        field = gate.field or (canary.field if canary else None)
        side = side_of(collection, probe.schema(collection), field, Verdict.UNKNOWN, gate=gate.gate)
        searches = _searches(canary, side, probe)
        hits = canary.k if canary else HITS
        deadline = perf_counter() + gate.timeout
        rounds = good = 0
        while good < GOOD_ROUNDS and (rounds == 0 or perf_counter() < deadline):
            answers = list(_round(searches, side, hits, deadline, probe))
            p95, rounds = _p95(answers), rounds + 1
            good = good + 1 if p95 <= gate.max_p95 and len(answers) == len(searches) else 0
    figures: dict[str, Figure] = {"rounds": rounds, "searches": len(searches)}
    if isfinite(p95):
        figures["p95Ms"] = round(p95 * 1000, 3)
        found, remedy = f"p95 {p95 * 1000:,.1f} ms", "gates.warm.maxP95"
    else:
        failures = [answer for answer in answers if isinstance(answer, CallTimedOut)]
        figures["unanswered"] = len(failures)
        found = f"{len(failures)} of {len(answers)} not answered ({failures[-1]})"
        remedy = "the timeout of the connection"
    if good == GOOD_ROUNDS:
        return GateResult(gate.gate, Verdict.PASS, found, figures)
    detail = (
        f"searches on {collection}: {found} after {counted(rounds, 'round')} of {len(searches)} in {gate.timeout}, "
        f"need p95 ≤ {gate.max_p95} in {GOOD_ROUNDS} rounds; apply again when its data is in memory, or raise {remedy}"
    )
    return GateResult(gate.gate, Verdict.FAIL, detail, figures)


def _searches(canary: CanaryGate | None, side: Side, probe: Probe) -> Sequence[Search]:
    """Return the searches of a round. Raises `CannotTell` if there are none, or they do not fit the collection."""
    if canary and canary.queries_file:
        queries = queries_of(canary.queries_file, canary.queries_sha256)
        check_dimension(queries[0].desired, side, "give others")
        return [(query.desired, query.where) for query in queries]
    vectors = sample(probe, side, canary.sample if canary else SAMPLE).values()
    if not vectors:
        raise CannotTell(Verdict.UNKNOWN, f"{side.collection} has no rows to search for; check its import job")
    return [(vector, "") for vector in vectors]


def _round(
    searches: Sequence[Search], side: Side, hits: int, deadline: float, probe: Probe
) -> Iterator[float | CallTimedOut]:
    """Yield the duration of each search in seconds, or the error if it is not answered, until the time is up."""
    for vector, where in searches:
        start = perf_counter()
        try:
            probe.search(side.collection, side.vector.name, [vector], limit=hits, where=where, strong=False)
        except CallTimedOut as error:
            yield error
        else:
            yield perf_counter() - start
        if perf_counter() >= deadline:
            return


def _p95(answers: Sequence[float | CallTimedOut]) -> float:
    """Return the 95th percentile in seconds, by the nearest rank; a search that is not answered is infinitely slow."""
    seconds = sorted(inf if isinstance(answer, CallTimedOut) else answer for answer in answers)
    return seconds[ceil(0.95 * len(seconds)) - 1]


GATE = Gate(
    settings=WarmGate,
    about="Searches on the collection are fast enough.",
    check=_check,
    needs={Call.QUERY: Ends.DESIRED, Call.SEARCH: Ends.DESIRED},
    costly=True,
)
