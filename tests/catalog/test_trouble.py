"""Servers that are gone, silent, cut off or something else: bounded time, one write, no noise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from reconciler.catalog import Catalog, connect, milvus
from reconciler.catalog.milvus_client import SingleAttempt
from reconciler.catalog.server_version import parse_version
from reconciler.core.errors import CallTimedOut, CatalogError, ConnectionFailed, InvalidInput, RateLimited
from tests.faults.wire import Wire
from tests.servers import ToyMilvus, aborting, connection_to, slow, status, toy_milvus

CLOUD = "Zilliz Cloud Vector Database(Compatible with Milvus 2.6)"

SLACK = 8.0
"""Seconds that a bounded call may take longer on a busy machine; without a bound it would take longer still."""

WRITES: dict[str, Callable[[Catalog], None]] = {
    "CreateAlias": lambda catalog: catalog.create_alias("a", "c"),
    "AlterAlias": lambda catalog: catalog.alter_alias("a", "c"),
    "DropAlias": lambda catalog: catalog.drop_alias("a"),
}


@pytest.fixture
def proxy(toy: ToyMilvus) -> Iterator[Wire]:
    found = Wire(toy.port)
    yield found
    found.cut(refuse=True)


@contextmanager
def takes_at_most(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds + SLACK


class TestWritesAreSentOnce:
    @pytest.mark.parametrize("after", ["accepts again", "refuses", "swallows"])
    @pytest.mark.parametrize("method", WRITES)
    def test_when_the_connection_is_cut_after_the_request(
        self, toy: ToyMilvus, proxy: Wire, method: str, after: str
    ) -> None:
        def cut(*_: object) -> Any:
            proxy.swallows = after == "swallows"
            proxy.cut(refuse=after == "refuses")
            return status()

        toy.answers[method] = cut
        catalog = connect(connection_to(proxy.uri, timeout=30.0), "default")
        catalog.server_version()
        with takes_at_most(0.5), pytest.raises(ConnectionFailed):
            WRITES[method](catalog)
        time.sleep(0.3)
        assert toy.count(method) == 1
        assert catalog.calls == 2
        catalog.close()

    @pytest.mark.parametrize(
        "answer",
        [
            lambda *_: status(8, "rate limit exceeded"),
            lambda *_: status(1, "service not ready"),
            lambda *_: status(65535, "STREAMING_CODE_REPLICATE_VIOLATION"),
            aborting(grpc.StatusCode.UNAVAILABLE, "not now"),
            aborting(grpc.StatusCode.INTERNAL, "oh"),
            aborting(grpc.StatusCode.UNKNOWN, "oh"),
            aborting(grpc.StatusCode.ABORTED, "oh"),
        ],
    )
    @pytest.mark.parametrize("method", WRITES)
    def test_whatever_the_server_answers(self, toy: ToyMilvus, method: str, answer: Any) -> None:
        toy.answers[method] = answer
        catalog = connect(connection_to(toy.uri, timeout=30.0), "default")
        catalog.server_version()
        with takes_at_most(0.2), pytest.raises(CatalogError):
            WRITES[method](catalog)
        assert toy.count(method) == 1
        catalog.close()

    @pytest.mark.parametrize("method", WRITES)
    def test_when_the_answer_is_late(self, toy: ToyMilvus, method: str) -> None:
        toy.answers[method] = slow(2.0, status())
        catalog = connect(connection_to(toy.uri, timeout=0.5), "default")
        with takes_at_most(0.5), pytest.raises(CallTimedOut, match=r"no answer from .* within 0\.5 s"):
            WRITES[method](catalog)
        assert toy.count(method) == 1
        catalog.close()


def test_the_timeout_that_stops_pymilvus_is_a_number_to_everyone_else() -> None:
    timeout = SingleAttempt(2.5)
    assert 0.0 >= timeout, "pymilvus's question whether time is up"  # noqa: SIM300 - turned round it is another one
    assert timeout + 1 == 3.5
    assert timeout == 2.5


class TestReads:
    def test_are_tried_again(self, toy: ToyMilvus) -> None:
        def third_time(_: bytes, context: grpc.ServicerContext) -> Any:
            if toy.count("ListAliases") < 3:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            return milvus_pb2.ListAliasesResponse(status=status(), aliases=["a"])

        toy.answers["ListAliases"] = third_time
        catalog = connect(connection_to(toy.uri), "default")
        assert catalog.alias_names() == {"a"}
        assert toy.count("ListAliases") == 3
        assert catalog.calls == 4, "each attempt, and the version"
        catalog.close()

    def test_are_given_up(self, toy: ToyMilvus) -> None:
        toy.answers["ListAliases"] = lambda *_: milvus_pb2.ListAliasesResponse(status=status(8, "rate limit exceeded"))
        catalog = connect(connection_to(toy.uri), "default")
        with pytest.raises(RateLimited):
            catalog.alias_names()
        assert toy.count("ListAliases") == 4
        catalog.close()

    def test_are_not_tried_again_when_it_cannot_help(self, toy: ToyMilvus) -> None:
        toy.answers["ListAliases"] = lambda *_: milvus_pb2.ListAliasesResponse(status=status(4711, "no"))
        catalog = connect(connection_to(toy.uri), "default")
        with pytest.raises(CatalogError):
            catalog.alias_names()
        assert toy.count("ListAliases") == 1
        catalog.close()

    def test_a_call_within_a_call_is_bounded_too(self, toy: ToyMilvus) -> None:
        """pymilvus's `describe_replica` loses the timeout on the way to its inner `describe_collection`."""
        toy.answers["DescribeCollection"] = aborting(grpc.StatusCode.UNAVAILABLE, "not now")
        catalog = connect(connection_to(toy.uri), "default")
        with pytest.raises(ConnectionFailed):
            catalog.replicas("c")
        assert toy.count("DescribeCollection") == 4
        catalog.close()

    def test_that_take_two_calls_count_as_two(self, toy: ToyMilvus) -> None:
        toy.answers["DescribeCollection"] = lambda *_: milvus_pb2.DescribeCollectionResponse(status=status())
        toy.answers["GetReplicas"] = lambda *_: milvus_pb2.GetReplicasResponse(status=status())
        catalog = connect(connection_to(toy.uri), "default")
        assert catalog.replicas("c") == 0
        assert toy.seen[1:] == ["GetVersion", "DescribeCollection", "GetReplicas"]
        assert catalog.calls == 3
        catalog.close()

    def test_keep_their_reason_when_time_runs_out(self, toy: ToyMilvus, monkeypatch: pytest.MonkeyPatch) -> None:
        """An attempt that cannot be answered in time any more is not made: it would only end in "no answer"."""
        monkeypatch.setattr(milvus, "LONGEST_WAIT", 60.0)
        toy.answers["ListAliases"] = aborting(grpc.StatusCode.UNAVAILABLE, "not now")
        catalog = connect(connection_to(toy.uri, timeout=30.0), "default")
        with pytest.raises(ConnectionFailed):
            catalog.alias_names()
        assert toy.count("ListAliases") == 1
        catalog.close()

    def test_notice_an_upgrade_by_the_lost_connection(self, toy: ToyMilvus) -> None:
        catalog = connect(connection_to(toy.uri, timeout=1.0), "default")
        assert (catalog.server_version(), bool(catalog.behaviour.drops_by_prefix)) == ("v2.6.4", False)
        toy.answers["ListAliases"] = aborting(grpc.StatusCode.UNAVAILABLE, "shutting down")
        with pytest.raises(ConnectionFailed):
            catalog.alias_names()
        toy.answers["GetVersion"] = aborting(grpc.StatusCode.UNAVAILABLE, "not up yet")
        assert not catalog.behaviour.drops_by_prefix, "the last known one, while it cannot be read"
        toy.answers["GetVersion"] = lambda *_: milvus_pb2.GetVersionResponse(status=status(), version="2.4.15")
        toy.answers["ListAliases"] = lambda *_: milvus_pb2.ListAliasesResponse(status=status(), aliases=["a"])
        assert catalog.alias_names() == {"a"}
        assert (catalog.server_version(), bool(catalog.behaviour.drops_by_prefix)) == ("2.4.15", True)
        catalog.close()

    def test_find_a_server_that_is_back(self, toy: ToyMilvus, proxy: Wire) -> None:
        toy.answers["ListAliases"] = lambda *_: milvus_pb2.ListAliasesResponse(status=status(), aliases=["a"])
        catalog = connect(connection_to(proxy.uri), "default")
        catalog.server_version()
        proxy.cut()
        assert catalog.alias_names() == {"a"}
        catalog.close()

    def test_end_in_time_when_the_server_falls_silent(self, toy: ToyMilvus) -> None:
        toy.answers["ListAliases"] = slow(3.0, milvus_pb2.ListAliasesResponse())
        catalog = connect(connection_to(toy.uri, timeout=1.0), "default")
        with takes_at_most(1.0), pytest.raises(CallTimedOut):
            catalog.alias_names()
        assert toy.count("ListAliases") == 1
        catalog.close()


class TestConnecting:
    def test_refused(self) -> None:
        with takes_at_most(1.5), pytest.raises(ConnectionFailed, match=r"^cannot reach 127\.0\.0\.1:1: connection ref"):
            connect(connection_to("http://127.0.0.1:1"), "default")

    def test_a_server_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with takes_at_most(1.0), pytest.raises(CallTimedOut, match="within 1 s"):
                connect(connection_to(uri, timeout=1.0), "default")

    def test_an_unknown_host(self) -> None:
        with pytest.raises(ConnectionFailed, match="host name not found"):
            connect(connection_to("http://no-such-host.invalid:19530", timeout=2.0), "default")

    def test_tls_to_a_plain_server(self, toy: ToyMilvus) -> None:
        with pytest.raises(ConnectionFailed, match="TLS handshake failed: the server does not speak TLS"):
            connect(connection_to(f"https://127.0.0.1:{toy.port}", timeout=2.0), "default")

    def test_a_server_that_comes_up_late(self, toy: ToyMilvus) -> None:
        def second_time(_: bytes, context: grpc.ServicerContext) -> Any:
            if toy.count("Connect") < 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
            return milvus_pb2.ConnectResponse(status=status(), identifier=1)

        toy.answers["Connect"] = second_time
        connect(connection_to(toy.uri), "default").close()


class TestVersion:
    """Which call tells where an alias points depends on the server's version."""

    @pytest.mark.parametrize(
        ("version", "method"),
        [
            ("v2.3.5", "DescribeCollection"),
            ("v2.3.5-lite", "DescribeCollection"),
            ("2.2.16", "DescribeCollection"),
            ("milvus_lite-3.2.2", "DescribeCollection"),
            ("v2.4.0", "DescribeAlias"),
            ("2.6.4", "DescribeAlias"),
            ("v2.10.1", "DescribeAlias"),
            ("Zilliz Cloud Vector Database(Compatible with Milvus 2.3)", "DescribeCollection"),
        ],
    )
    def test_decides_how_an_alias_is_resolved(self, version: str, method: str) -> None:
        with toy_milvus(version) as toy:
            toy.answers["DescribeAlias"] = lambda *_: milvus_pb2.DescribeAliasResponse(status=status(), collection="c")
            toy.answers["DescribeCollection"] = lambda *_: milvus_pb2.DescribeCollectionResponse(
                status=status(), schema=schema_pb2.CollectionSchema(name="c"), collectionID=7
            )
            catalog = connect(connection_to(toy.uri), "default")
            found = catalog.resolve("a")
            catalog.close()
        assert toy.seen == ["Connect", "GetVersion", method]
        assert found is not None
        assert found.name == "c"
        assert found.id == (7 if method == "DescribeCollection" else None)

    @pytest.mark.parametrize("reported", ["", "unknown-20260608-7ea6e3526"])
    def test_that_is_not_known_names_the_database_in_the_request(self, reported: str) -> None:
        """Milvus 2.3 answers for the database `default` otherwise, whatever the connection says."""
        databases: list[str] = []

        def answer(request: bytes, _context: grpc.ServicerContext) -> Any:
            databases.append(milvus_pb2.DescribeAliasRequest.FromString(request).db_name)
            return milvus_pb2.DescribeAliasResponse(status=status(), collection="c")

        with toy_milvus(reported) as toy:
            toy.answers["DescribeAlias"] = answer
            catalog = connect(connection_to(toy.uri), "shop")
            found = catalog.resolve("a")
            catalog.close()
        assert found is not None
        assert (found.name, databases) == ("c", ["shop"])

    @pytest.mark.parametrize(
        ("reported", "tags", "stated", "version"),
        [
            ("pkg/v2.5.4", "2.6.1", "2.5.4", "pkg/v2.5.4"),
            ("pkg/v2.5.4", "2.6.1", "2.4.0", "pkg/v2.5.4, stated to be 2.4.0"),
            ("unknown-20260608-7ea6e3526", CLOUD, "", CLOUD),
            ("unknown-20260608-7ea6e3526", CLOUD, "2.6.4", f"{CLOUD}, stated to be 2.6.4"),
            ("unknown-20260608-7ea6e3526", CLOUD, "2.4.0", f"{CLOUD}, stated to be 2.4.0"),
            ("2.6", "", "2.6", "2.6"),
            ("unknown-20260608-7ea6e3526", "", "2.4.0", "unknown-20260608-7ea6e3526, stated to be 2.4.0"),
            ("unknown-20260608-7ea6e3526", "", "", "unknown-20260608-7ea6e3526"),
            ("", "", "", "unknown"),
            ("release-24.8.1", "2.4.15", "", "2.4.15"),
            ("release-24.8.1", "24.8.1", "2.4.15", "release-24.8.1, stated to be 2.4.15"),
        ],
    )
    def test_is_the_first_that_has_a_number_with_what_is_stated(
        self, reported: str, tags: str, stated: str, version: str
    ) -> None:
        with toy_milvus(reported) as toy:
            info = common_pb2.ServerInfo(build_tags=tags)
            toy.answers["Connect"] = lambda *_: milvus_pb2.ConnectResponse(status=status(), server_info=info)
            catalog = connect(connection_to(toy.uri, server_version=stated), "default")
            assert catalog.server_version() == version
            assert toy.count("Connect") == (1 if parse_version(reported).known else 2), "again only for the build tags"
            catalog.close()

    @pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED])
    def test_that_may_not_be_asked_is_unknown(self, toy: ToyMilvus, code: grpc.StatusCode) -> None:
        toy.answers["GetVersion"] = aborting(code, "no")
        catalog = connect(connection_to(toy.uri), "default")
        assert catalog.server_version() == catalog.server_version() == "unknown"
        assert toy.count("GetVersion") == 1
        assert catalog.concurrency == 8
        catalog.close()

    def test_an_alias_without_a_collection_is_none(self, toy: ToyMilvus) -> None:
        toy.answers["DescribeAlias"] = lambda *_: milvus_pb2.DescribeAliasResponse(status=status())
        catalog = connect(connection_to(toy.uri), "default")
        assert catalog.resolve("a") is None
        catalog.close()


class InFlight:
    """Answers, slowly, and knows how many calls there were at a time."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self, _: bytes, _context: grpc.ServicerContext) -> Any:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.05)
        with self._lock:
            self._now -= 1
        return status()


class TestConcurrency:
    @pytest.mark.parametrize(("version", "databases", "most"), [("v2.6.4", 1, 3), ("milvus_lite-3.2.2", 2, 1)])
    def test_calls_in_flight(self, version: str, databases: int, most: int) -> None:
        """On Milvus Lite one at a time, over all its databases."""
        in_flight = InFlight()
        with toy_milvus(version) as toy, ThreadPoolExecutor(12) as pool:
            toy.answers["AlterAlias"] = in_flight
            catalogs = [connect(connection_to(toy.uri, concurrency=3), f"db{n}") for n in range(databases)]
            for alter in [pool.submit(catalogs[n % databases].alter_alias, "a", "c") for n in range(12)]:
                alter.result()
            assert in_flight.most == most
            assert sum(catalog.calls for catalog in catalogs) == 12 + databases
            for catalog in catalogs:
                catalog.close()

    def test_are_fewer_once_the_server_has_limited_their_rate(self, toy: ToyMilvus) -> None:
        in_flight = InFlight()
        catalog = connect(connection_to(toy.uri, concurrency=8), "default")
        toy.answers["AlterAlias"] = lambda *_: status(8, "rate limit exceeded")
        with pytest.raises(RateLimited):
            catalog.alter_alias("a", "c")
        toy.answers["AlterAlias"] = in_flight
        with ThreadPoolExecutor(12) as pool:
            for alter in [pool.submit(catalog.alter_alias, "a", "c") for _ in range(6)]:
                alter.result()
        catalog.close()
        assert 4 <= in_flight.most <= 5


class TestLiteFile:
    def test_is_not_created_by_looking(self, tmp_path: Path) -> None:
        path = tmp_path / "none.db"
        with pytest.raises(ConnectionFailed, match="no Milvus Lite file at"):
            connect(connection_to(str(path)), "default")
        assert list(tmp_path.iterdir()) == []

    def test_needs_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectionFailed, match="no folder"):
            connect(connection_to(str(tmp_path / "no" / "such.db")), "default", create=True)

    def test_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "text.db"
        path.write_text("not a database")
        with pytest.raises(ConnectionFailed, match="the Milvus Lite file cannot be opened"):
            connect(connection_to(str(path), timeout=0.1), "default")

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.catalog.find_spec", lambda name: None)
        with pytest.raises(InvalidInput, match=r"pip install '\.\[lite\]' in a clone"):
            connect(connection_to("/folder/x.db"), "default")


CONNECT_AND_FAIL = """
import structlog, sys
structlog.configure(logger_factory=structlog.PrintLoggerFactory(open("/dev/null", "w")))
from reconciler.catalog import connect
from reconciler.core.errors import CatalogError
from tests.servers import connection_to
try:
    connect(connection_to(sys.argv[1], timeout=1.0), "no_such_database").alias_names()
except CatalogError as error:
    print(error.code)
"""


def run(code: str, *args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=cwd,
        env=inherited | {"PYTHONPATH": path} | env,
    )


class TestNoise:
    @pytest.mark.parametrize("trouble", ["refused", "tls", "silent", "no database"])
    def test_standard_error_stays_empty(self, toy: ToyMilvus, trouble: str) -> None:
        toy.answers["ListAliases"] = lambda *_: milvus_pb2.ListAliasesResponse(status=status(800, "database not found"))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            uri, code = {
                "refused": ("http://127.0.0.1:1", "ConnectionFailed"),
                "tls": (f"https://127.0.0.1:{toy.port}", "TlsFailed"),
                "silent": (f"http://127.0.0.1:{silent.getsockname()[1]}", "CallTimedOut"),
                "no database": (toy.uri, "DatabaseNotFound"),
            }[trouble]
            result = run(CONNECT_AND_FAIL, uri)
        assert (result.stdout.strip(), result.stderr) == (code, "")

    def test_also_with_milvus_lite(self, tmp_path: Path) -> None:
        (tmp_path / "bad.db").write_text("not a database")
        result = run(CONNECT_AND_FAIL, str(tmp_path / "bad.db"))
        assert (result.stdout.strip(), result.stderr) == ("ConnectionFailed", "")


class TestImport:
    def test_of_the_package_leaves_pymilvus_alone(self) -> None:
        result = run("import sys, reconciler.catalog; print('pymilvus' in sys.modules, 'grpc' in sys.modules)")
        assert result.stdout.split() == ["False", "False"], result.stderr

    def test_takes_nothing_from_a_dotenv_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("SNEAKED_IN=yes\n")
        show = "import os; print(sorted(set(os.environ) & {'SNEAKED_IN', 'PYTHON_DOTENV_DISABLED'}))"

        control = run(f"import pymilvus\n{show}", cwd=tmp_path)
        assert control.stdout.strip() == "['SNEAKED_IN']", control.stderr
        for prepare in ("", "import dotenv.main; dotenv.main._load_dotenv_disabled = lambda: False  # as older ones\n"):
            result = run(f"{prepare}import reconciler.catalog.milvus_client\n{show}", cwd=tmp_path)
            assert result.stdout.strip() == "[]", result.stderr

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("MILVUS_URI", "app:s3cret@milvus:19530"),
            ("MILVUS_URI", "./demo.db"),
            ("MILVUS_DEFAULT_CONNECTION", "app:s3cret@milvus:19530"),
            ("MILVUS_CONN_TIMEOUT", "10s"),
            ("MILVUS_CONN_ALIAS", "s3cret"),
        ],
    )
    def test_takes_nothing_from_variables_of_an_application(self, name: str, value: str, tmp_path: Path) -> None:
        show = (
            "import os, pymilvus.settings, pymilvus.orm.connections as c; config = pymilvus.settings.Config; "
            f"print([config.MILVUS_URI, config.MILVUS_CONN_ALIAS, config.MILVUS_CONN_TIMEOUT, os.environ['{name}']])"
        )
        result = run(f"import reconciler.catalog.milvus_client\n{show}", cwd=tmp_path, **{name: value})
        assert (result.stdout.strip(), result.stderr) == (str(["", "default", 10.0, value]), "")

    def test_of_milvus_lite_takes_nothing_from_variables_either(self, tmp_path: Path) -> None:
        result = run(
            "import sys; from tests.servers import connection_to; from reconciler.catalog import connect\n"
            "connect(connection_to(sys.argv[1]), 'default', create=True).close()",
            str(tmp_path / "x.db"),
            MILVUS_LITE_WAL_SIZE_LIMIT_BYTES="s3cret",
        )
        assert result.stderr == ""

    def test_is_not_stopped_by_a_dotenv_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("MILVUS_CONN_TIMEOUT=soon\n")
        assert "ValueError" in run("import pymilvus", cwd=tmp_path).stderr
        assert run("import reconciler.catalog.milvus_client", cwd=tmp_path).stderr == ""
