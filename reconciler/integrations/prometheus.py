"""A client of the HTTP API of Prometheus, and of what offers the same: Thanos, Mimir, VictoriaMetrics.

Only instant and range queries are made. Every number that is returned is finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeAlias
from urllib.parse import urlencode

from reconciler.core import json_strict
from reconciler.core.errors import IntegrationFailed
from reconciler.core.model import Prometheus
from reconciler.credentials import Secrets
from reconciler.files import KIB
from reconciler.integrations.http import HttpClient, Response

MAX_BYTES = 512 * KIB
"""Of an answer; one with the values of one series has a few KiB."""
MAX_TEXT = 200
Point: TypeAlias = tuple[float, float]
"""The time in seconds since 1970, by the clock of Prometheus, and a finite value."""


class QueryRefused(IntegrationFailed):
    """A query that Prometheus can never answer, such as one with a mistake; nothing is wrong with the connection."""


class PrometheusClient:
    """Makes queries. Thread-safe."""

    def __init__(self, server: Prometheus, *, namespace: str = "", secrets: Secrets | None = None) -> None:
        self._http = HttpClient(server, "Prometheus", namespace=namespace, secrets=secrets)

    def instant(self, query: str) -> tuple[float, list[tuple[Mapping[str, str], float]]]:
        """Return the time of Prometheus, and the labels and value of each series.

        Raises:
            QueryRefused: the query has a mistake.
            IntegrationFailed: there is no answer that can be used.
        """
        found = self._query("query", {"query": query}, "vector")
        try:
            series = [(dict(item["metric"]), _number(item["value"])) for item in found]
            at = float(found[0]["value"][0]) if found else 0.0
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._unusable("a vector whose form is not known") from error
        return at, [(labels, value) for labels, value in series if value is not None]

    def range(self, query: str, start: float, end: float, step: float) -> list[Point]:
        """Return the values of a query that gives one series, at `start`, and every `step` seconds until `end`.

        Values that are missing or not a finite number are left out. Raises as `instant`, and `QueryRefused` for a query
        that gives several series.
        """
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        found = self._query("query_range", {"query": query, **times}, "matrix")
        if len(found) > 1:
            raise QueryRefused(f"the query gives {len(found)} series, need 1; aggregate them, for example with sum()")
        try:
            points = [(float(pair[0]), _number(pair)) for item in found for pair in item["values"]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._unusable("a matrix whose form is not known") from error
        return [(at, value) for at, value in points if value is not None and isfinite(at)]

    def _query(self, kind: str, parameters: Mapping[str, str], expected: str) -> list[Any]:
        """Make a query and return its result. POST, because a query may be too long for an address."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._http.bearer()}
        body = urlencode(parameters).encode()
        response = self._http.post(body, headers=headers, path=f"/api/v1/{kind}", max_bytes=MAX_BYTES)
        answer = self._answer(response)
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict):
            raise self._unusable("JSON that is no answer of Prometheus")
        if data.get("resultType") != expected:
            raise QueryRefused(f"the query gives a {data.get('resultType')}, need a number per time")
        result = data.get("result")
        if not isinstance(result, list):
            raise self._unusable("JSON without a result")
        return result

    def _answer(self, response: Response) -> dict[str, Any]:
        try:
            answer = json_strict.loads(response.body)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and response.status == 200:
            return answer
        if isinstance(answer, dict) and answer.get("errorType") == "bad_data":
            raise QueryRefused(
                f"Prometheus refuses the query: {self._http.one_line(str(answer.get('error')), MAX_TEXT)}"
            )
        if response.status in (401, 403):
            raise IntegrationFailed(
                f"Prometheus answers {response.status}; check prometheus.token of the MilvusConnection"
            )
        detail = str(answer.get("error")) if isinstance(answer, dict) else response.text
        if response.status != 200:
            shown = self._http.one_line(detail, MAX_TEXT)
            raise IntegrationFailed(f"Prometheus answers {response.status}: {shown}", transient=response.status >= 500)
        raise self._unusable("something else than JSON")

    def _unusable(self, what: str) -> IntegrationFailed:
        return IntegrationFailed(f"Prometheus answers with {what}; check prometheus.uri of the MilvusConnection")


def _number(pair: Any) -> float | None:
    """Return the value of a sample, which Prometheus writes as text; None for NaN and infinity."""
    value = float(pair[1])
    return value if isfinite(value) else None
