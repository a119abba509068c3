"""Real servers pass: Milvus Lite, and the Milvus 2.3.5 at MILVUS_URI."""

from __future__ import annotations

from contextlib import closing
from threading import Event

import pytest

from reconciler.catalog import open_sandbox
from reconciler.core.model import DEFAULT_DATABASE
from reconciler.exercise.records import Verdict
from reconciler.exercise.run import run_exercises
from tests.catalog.conftest import backend_named
from tests.servers import Backend


@pytest.fixture(params=["lite", "milvus"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_named(request, request.param)


@pytest.mark.parametrize("default", [True, False], ids=["default", "other"])
def test_a_real_server_behaves_as_the_table_says(backend: Backend, default: bool) -> None:
    database = DEFAULT_DATABASE if default else backend.other_database
    with closing(open_sandbox(backend.connection, database)) as sandbox:
        before = sandbox.alias_names(), set(sandbox.collections())
        report = run_exercises(sandbox, backend.connection, Event())
        after = sandbox.alias_names(), set(sandbox.collections())
    failed = [finding for finding in report.findings if finding.verdict is Verdict.CONTRADICTION]
    assert (failed, report.exit_code, report.ended_early) == ([], 0, "")
    if default:  # other tests work there at the same time
        assert not [name for name in (*after[0], *after[1]) if name.startswith("aliasctl_check_")]
    else:
        assert after == before
    unseen = {finding.exercise for finding in report.findings if finding.verdict is Verdict.NOT_OBSERVED}
    without_database = {"describe, no database in the call", "list, no database in the call"}
    assert unseen - {"readers, after altering again"} == (without_database if default else set())
    assert report.readers == sandbox.concurrency - 1
