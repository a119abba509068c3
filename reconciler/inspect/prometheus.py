"""Check the Prometheus of a connection: whether it answers, and has samples of Milvus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.core.errors import AliasctlError
from reconciler.core.model import AliasSet, Connection, Target
from reconciler.credentials import Secrets
from reconciler.inspect.conditions import Condition, Result, Subject


def prometheus_conditions(
    connection: Connection, target: Target, sets: Sequence[AliasSet], secrets: Secrets | None
) -> Iterator[Condition]:
    """Yield the condition of Prometheus, if the connection names one or a set has metrics. It takes one request."""
    needed = any(alias.metrics for alias_set in sets for alias in alias_set.aliases)
    if connection.prometheus is None and not needed:
        return
    from reconciler.execute.live_metrics import LiveMetrics  # only loaded where it is used

    try:
        timing = LiveMetrics.of(connection, target, secrets).timing()
    except AliasctlError as error:
        yield Condition(Subject.PROMETHEUS, Result.MISSING if needed else Result.UNKNOWN, str(error))
    else:
        detail = f"answers; scrapes every {timing.interval:.3g} s, so metrics need a soak of {timing.least_soak:.3g} s"
        yield Condition(Subject.PROMETHEUS, Result.OK, detail)
