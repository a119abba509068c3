"""`aliasctl check` of the Prometheus of a connection."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.core.metrics import Metric, Preset
from reconciler.core.model import Alias, AliasSet, Verify
from reconciler.inspect.access import check_access
from reconciler.inspect.conditions import Condition, Result, Subject
from tests.builders import LOCAL, alias_set, catalogs, server
from tests.integrations.fake_prometheus import FakePrometheus, fake_prometheus

ERRORS = Metric(name="errors", preset=Preset.ERRORS, max=0.01)


def desired(prometheus: FakePrometheus | None, *metrics: Metric) -> AliasSet:
    connection = replace(LOCAL, prometheus=prometheus.endpoint if prometheus else None)
    return alias_set({}, Alias("a", "new", metrics=metrics), connection=connection, verify=Verify(soak=600))


def condition(desired: AliasSet) -> Condition | None:
    """What is found about Prometheus, if it is looked at."""
    [access] = check_access([desired], catalogs(server("new")))
    return next((each for each in access.conditions if each.subject is Subject.PROMETHEUS), None)


def test_a_prometheus_that_answers_is_ok_and_its_interval_is_shown() -> None:
    with fake_prometheus() as prometheus:
        prometheus.interval = 15
        assert condition(desired(prometheus, ERRORS)) == Condition(
            Subject.PROMETHEUS, Result.OK, "answers; scrapes every 15 s, so metrics need a soak of 135 s"
        )


def test_one_that_does_not_answer_is_missing_where_a_set_needs_it_and_unknown_elsewhere() -> None:
    gone = FakePrometheus()
    gone.uri = "http://127.0.0.1:1"
    needed, unused = condition(desired(gone, ERRORS)), condition(desired(gone))
    assert needed
    assert unused
    assert (needed.result, unused.result) == (Result.MISSING, Result.UNKNOWN)
    assert "Prometheus at 127.0.0.1:1 cannot be reached" in needed.detail


def test_metrics_without_a_prometheus_are_missing_it() -> None:
    found = condition(desired(None, ERRORS))
    assert found
    assert (found.result, found.detail) == (
        Result.MISSING,
        "the MilvusConnection names no Prometheus; give spec.prometheus.uri",
    )


def test_nothing_is_said_where_nothing_uses_it() -> None:
    assert condition(desired(None)) is None
