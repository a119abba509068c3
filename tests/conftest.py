"""What every test may ask for: a Milvus Lite, and the real Milvus at MILVUS_URI."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests import servers
from tests.reliability.tally import Tally, write
from tests.servers import EMULATED, Backend, emulated_backend, lite_backend, milvus_backend, real_milvus

# In CI the same examples each time: what fails there was broken by the change. New ones are tried on people's machines.
settings.register_profile("default", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("default")

# Under nohup SIGHUP is ignored, and so it would be in every process that a test starts. A handler is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# So is Ctrl-C in the background jobs of a shell.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_logging_of_an_earlier_test() -> Iterator[None]:
    """Logs of a command that ran in this process go to its standard error, which is closed when its test has ended."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


SLOW = (
    "catalog/test_trouble.py",
    "catalog/test_without_pandas.py",
    "cli/test_completion.py",
    "cli/test_dangling.py",
    "cli/test_exercise.py",
    "cli/test_export.py",
    "cli/test_history.py",
    "cli/test_new_gate.py",
    "cli/test_notify.py",
    "cli/test_output.py",
    "cli/test_reports.py",
    "cli/test_rollback.py",
    "cli/test_secondary.py",
    "cli/test_set.py",
    "cli/test_status_options.py",
    "cli/test_trouble.py",
    "cli/test_unfinished_revert.py",
    "docs/test_commands.py",
    "docs/test_contributing.py",
    "docs/test_exercise_page.py",
    "docs/test_performance.py",
    "emulated_kubernetes/test_approve.py",
    "emulated_kubernetes/test_conflicts.py",
    "emulated_kubernetes/test_dashboard.py",
    "emulated_kubernetes/test_outages.py",
    "emulated_kubernetes/test_pending_revert.py",
    "emulated_kubernetes/test_pending_verification.py",
    "emulated_kubernetes/test_readers.py",
    "emulated_kubernetes/test_verification.py",
    "emulated_kubernetes/test_lease.py",
    "emulated_kubernetes/test_life.py",
    "emulated_kubernetes/test_notifications.py",
    "emulated_kubernetes/test_notified_status.py",
    "emulated_kubernetes/test_publish.py",
    "emulated_milvus/test_access.py",
    "emulated_milvus/test_exercise.py",
    "end_to_end/test_crash.py",
    "end_to_end/test_emulated.py",
    "end_to_end/test_metrics.py",
    "execute/test_live_metrics.py",
    "exercise/",
    "explore/",
    "faults/",
    "hostile/test_bombs.py",
    "hostile/test_journal_attacks.py",
    "hostile/test_reading.py",
    "hostile/test_requests.py",
    "hostile/test_terminal.py",
    "install/test_alerts.py",
    "install/test_image.py",
    "pipelines/",
    "render/test_html_in_chromium.py",
    "render/test_status_page_in_chromium.py",
    "supply_chain/",
    "sync/",
    "sync_attacks/",
)
"""What `make test` leaves to `make test-all`: tests that start many processes, or wait for timeouts."""


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with lite_backend(tmp_path_factory.mktemp("lite")) as backend:
        yield backend


@pytest.fixture(scope="session")
def lite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus Lite on loopback, which several processes can use."""
    with servers.lite_server(tmp_path_factory.mktemp("server") / "data") as uri:
        yield uri


@pytest.fixture(scope="session")
def milvus_uri() -> str:
    """Needed by whatever needs the real server, which marks it; other fixtures called `milvus` are emulators."""
    return real_milvus()


@pytest.fixture(scope="session")
def milvus(milvus_uri: str) -> Iterator[Backend]:
    with milvus_backend(milvus_uri) as backend:
        yield backend


def _emulated(name: str) -> object:
    @pytest.fixture(scope="session", name=name)
    def backend() -> Iterator[Backend]:
        with emulated_backend(name) as started:
            yield started

    return backend


globals().update({name: _emulated(name) for name in EMULATED})


@pytest.fixture
def tally() -> Iterator[Callable[[str, str], Tally]]:
    """Opens a suite by its name and server; what was tried is written down where `make soak` looks for it."""
    opened: list[Tally] = []

    def open_suite(suite: str, server: str) -> Tally:
        opened.append(Tally(suite, server))
        return opened[-1]

    yield open_suite
    if folder := os.environ.get("RELIABILITY_TALLIES"):
        write(opened, Path(folder))


@pytest.fixture(scope="session")
def soak() -> bool:
    """Whether there is time for all rounds, as under `make soak`; otherwise a few will do."""
    return os.environ.get("SOAK") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real server, what takes long, and what belongs on the page on reliability."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).as_posix().startswith(SLOW):
            item.add_marker("slow")
        if isinstance(item, pytest.Function):
            parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
            if "milvus_uri" in item.fixturenames or "milvus" in parameters:
                item.add_marker("milvus")
            if "tally" in item.fixturenames:
                item.add_marker("reliability")
