"""The queries of metrics: of the presets for each version of Milvus, and of users with their placeholder.

Milvus names a collection in its metrics as the client did, so an alias has series of its own, before and after a move.
"""

from __future__ import annotations

from reconciler.core.metrics import Metric, Preset
from reconciler.core.model import DEFAULT_DATABASE, Prometheus, Target

READS = "Search|HybridSearch|Query"
REQUESTS = "milvus_proxy_req_count"
"""Requests by status. It has the label `collection_name` in later versions (read), and not in 2.3 (measured)."""
LATENCY = "milvus_proxy_sq_latency"
"""Histogram in milliseconds of what succeeded. It has the label `collection_name` in later versions (read)."""
LATENCY_BY_COLLECTION = "milvus_proxy_collection_sq_latency"
"""The same with the label `collection_name` and without `db_name`, in 2.3 (measured)."""
VECTORS_RECEIVED = "milvus_proxy_received_nq"
"""Query vectors received by `collection_name`, also of what fails; a query counts as one, in 2.3 (measured)."""
VECTORS_SEARCHED = "milvus_proxy_search_vectors_count"
TOTAL = 'status="total"'
SEARCHES = 'query_type="search"'
_FAILED = 'status=~"fail|abandon|rejected|retry"'
PLACEHOLDER = "{alias}"
RANGES = (15, 75, 300, 900)
"""Seconds that the scrape interval is counted in; the shortest with `MIN_SAMPLES` samples counts."""
MIN_SAMPLES = 4


def query_of(metric: Metric, alias: str, target: Target, server: Prometheus, window: float, least: float) -> str:
    """Return the PromQL of a metric of an alias.

    Presets look back `window` seconds, and have a value only if more than `least` requests were made in that time.
    """
    if metric.preset is None:
        return metric.query.replace(PLACEHOLDER, escaped(alias))
    back = f"[{window * 1000:.0f}ms]"
    own = [f'collection_name="{escaped(alias)}"', *_own(server)]
    by_database = [*own, _database(target.database)]
    if metric.preset is Preset.LATENCY:
        return _latency(metric.quantile, back, own, by_database, least)
    return _errors(back, own, by_database, _own(server), least)


def _latency(quantile: float | None, back: str, own: list[str], by_database: list[str], least: float) -> str:
    def of(name: str, matchers: str) -> str:
        value = f"histogram_quantile({quantile}, sum by (le) (rate({name}_bucket{matchers}{back})))"
        return f"({value} and on() (sum(increase({name}_count{matchers}{back})) > {least:g}))"

    return f"({of(LATENCY, _in(by_database))} or {of(LATENCY_BY_COLLECTION, _in(own))}) / 1000"


def _errors(back: str, own: list[str], by_database: list[str], labels: list[str], least: float) -> str:
    """Return the share of failed requests.

    Milvus 2.3 does not count them by name. There it is one minus the requests that succeeded per query vector received,
    which is right only where each search has one vector: elsewhere there is no value. A query counts as one vector.
    """
    reads = [*by_database, f'function_name=~"{READS}"']
    every = f"{REQUESTS}{_in([*reads, TOTAL])}{back}"
    failed = f"sum(rate({REQUESTS}{_in([*reads, _FAILED])}{back})) or vector(0)"
    counted = f"(({failed}) / sum(rate({every})) and on() (sum(increase({every})) > {least:g}))"
    received = f"{VECTORS_RECEIVED}{_in(own)}{back}"
    succeeded = f"sum(rate({LATENCY_BY_COLLECTION}_count{_in(own)}{back})) or vector(0)"
    estimated = f"clamp_min(1 - ({succeeded}) / sum(rate({received})), 0)"
    vectors = f"sum(rate({VECTORS_SEARCHED}{_in(labels)}[1h]))"
    searches = f"sum(rate({LATENCY}_count{_in([*labels, SEARCHES])}[1h]))"
    known = f"(sum(increase({received})) > {least:g}) and on() ({vectors} <= 1.01 * {searches})"
    return f"{counted} or ({estimated} and on() {known})"


def interval_query(server: Prometheus) -> str:
    """Return the PromQL that counts samples per range: of Milvus's requests, or else of all targets."""
    labels = _own(server)
    parts = []
    for seconds in RANGES:
        milvus = f"{REQUESTS}{_in([*labels, TOTAL])}[{seconds}s]"
        scrapes = f"scrape_duration_seconds{_in(labels)}[{seconds}s]"
        count = " or ".join(f"quantile(0.5, count_over_time({series}))" for series in (milvus, scrapes))
        parts.append(f'label_replace({count}, "range", "{seconds}", "", "")')
    return " or ".join(parts)


def escaped(text: str) -> str:
    """Return text for use inside quotes, of either kind."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'").replace("\n", "\\n")


def _database(name: str) -> str:
    """Return the matcher of a database. A client that names none uses the default one."""
    return f'db_name=~"{name}|"' if name == DEFAULT_DATABASE else f'db_name="{escaped(name)}"'


def _own(server: Prometheus) -> list[str]:
    return [f'{label.name}="{escaped(label.value)}"' for label in server.labels]


def _in(matchers: list[str]) -> str:
    return "{" + ",".join(matchers) + "}" if matchers else ""
