"""One writer: who holds the Lease, and when it changes hands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import kmock
import pytest

from reconciler.operator import lease, main
from reconciler.operator.cluster import Cluster, load_config
from reconciler.operator.lease import Elector
from reconciler.operator.objects import Ref
from tests.emulated_kubernetes.emulator import NAMESPACE, ApiServer, Object
from tests.emulated_kubernetes.harness import TIMEOUT, wait_until

LEASE = Ref(NAMESPACE, "aliasctl-operator")


class Clock:
    """The clock of all processes. It stands still but for the tests, so that a slow machine loses no Lease."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def until(self, what: str, holds: Callable[[], object]) -> None:
        """Let time pass until something holds."""

        def later() -> object:
            self.now += 0.05
            return holds()

        wait_until(what, later)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(lease, "time", made)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 4)
    monkeypatch.setattr(lease, "GIVE_UP_SECONDS", 2.5)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(lease, "CALLS_IN_FLIGHT_SECONDS", 0.1)
    return made


class Process:
    """A process that wants the Lease. While it is `cut_off`, the API server does not answer it."""

    def __init__(self, api: ApiServer, folder: Path, name: str) -> None:
        kubeconfig = folder / name
        kubeconfig.write_text(json.dumps(api.kubeconfig(token=name)))
        self.name = name
        self.losses: list[str] = []
        self.cut_off = False
        self.requests = 0
        self.stop = Event()
        self.cluster = Cluster(load_config(kubeconfig))
        self.elector = Elector(self.cluster, LEASE, name, self.losses.append)
        self.acquired: bool | None = None
        self._thread = Thread(target=self._acquire, daemon=True)

    @property
    def held(self) -> bool:
        return self.elector.held

    def start(self) -> None:
        self._thread.start()

    def _acquire(self) -> None:
        self.acquired = self.elector.acquire(self.stop)

    def end(self) -> None:
        self.stop.set()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT)
        self.cut_off = False
        self.elector.release()
        self.cluster._client.close()


@pytest.fixture
def process(api: ApiServer, tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    """Makes one that has not asked for the Lease yet."""
    made: dict[str, Process] = {}

    def refuse(request: kmock.Request) -> None:
        element = made.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if element:
            element.requests += 1
        if element and element.cut_off:
            raise kmock.KubernetesError(503, "Unavailable", "not for you")

    def make(name: str) -> Process:
        made[name] = Process(api, tmp_path, name)
        return made[name]

    api.emulator.refuse = refuse
    yield make
    for item in made.values():
        item.end()


def wait_for_requests(number: int, *processes: Process) -> None:
    """Until each process has made further requests."""
    enough = {item: item.requests + number for item in processes}
    wait_until("asked", lambda: all(item.requests >= least for item, least in enough.items()))


def pass_time(clock: Clock, *processes: Process) -> None:
    """Let a second pass. Then each process has read, and its holder has renewed, the Lease (two requests)."""
    clock.now += 1
    wait_for_requests(4, *processes)


def stored(api: ApiServer) -> Object:
    found = api.get("Lease", LEASE.name)
    assert found
    return dict(found["spec"])


def test_the_first_one_holds_it_and_keeps_it(process: Callable[[str], Process], api: ApiServer, clock: Clock) -> None:
    item, other = process("one"), process("other")
    item.start()
    wait_until("held", lambda: item.acquired)
    other.start()
    renewed = stored(api)["renewTime"]
    for _ in range(5):  # longer than the Lease, without a renewal
        pass_time(clock, item, other)
        assert item.held
        assert not other.held
    spec = stored(api)
    assert spec["holderIdentity"] == "one"
    assert spec["leaseDurationSeconds"] == 4
    assert spec["renewTime"] > renewed
    assert spec["leaseTransitions"] == 0
    assert item.losses == []


def test_of_many_that_start_together_one_holds_it(process: Callable[[str], Process], api: ApiServer) -> None:
    everybody = [process(f"p{number}") for number in range(5)]
    for item in everybody:
        item.start()
    wait_until("held", lambda: any(element.acquired for element in everybody))
    for _ in range(5):
        wait_for_requests(2, *everybody)
        assert [item.name for item in everybody if item.held] == [stored(api)["holderIdentity"]]


def test_one_that_lets_go_is_followed_at_once(process: Callable[[str], Process], api: ApiServer) -> None:
    item, other = process("one"), process("other")
    item.start()
    wait_until("held", lambda: item.acquired)
    other.start()
    item.elector.release()
    assert not item.held
    wait_until("taken over", lambda: other.acquired)  # before the Lease expires, as the clock stands still
    spec = stored(api)
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("other", 1)
    assert item.losses == []


def test_one_that_is_cut_off_stops_before_another_starts(
    process: Callable[[str], Process], api: ApiServer, clock: Clock
) -> None:
    item, other = process("one"), process("other")
    item.start()
    wait_until("held", lambda: item.acquired)
    other.start()
    wait_for_requests(2, other)
    item.cut_off = True
    both = []

    def taken_over() -> bool | None:
        both.append(other.held and item.held)
        return other.acquired

    clock.until("taken over", taken_over)
    assert other.held
    assert not any(both)
    assert not item.held
    wait_until("told", lambda: item.losses)
    assert "not for you" in item.losses[0]
    assert len(item.losses) == 1
    assert stored(api)["leaseTransitions"] == 1


def test_a_short_cut_is_survived(process: Callable[[str], Process], clock: Clock) -> None:
    item = process("one")
    item.start()
    wait_until("held", lambda: item.acquired)
    item.cut_off = True
    pass_time(clock, item)
    assert item.held
    item.cut_off = False
    for _ in range(3):
        pass_time(clock, item)
    assert item.held
    assert item.losses == []


def test_one_that_finds_another_holder_stops(process: Callable[[str], Process], api: ApiServer) -> None:
    item = process("one")
    item.start()
    wait_until("held", lambda: item.acquired)
    api.patch("Lease", LEASE.name, {"spec": {"holderIdentity": "thief"}})
    wait_until("told", lambda: item.losses == ["another process holds it"])
    assert not item.held
    item.elector.release()
    assert stored(api)["holderIdentity"] == "thief"


def test_a_lease_that_somebody_made_beforehand_is_taken(process: Callable[[str], Process], api: ApiServer) -> None:
    api.create("Lease", LEASE.name, spec={})
    item = process("one")
    item.start()
    wait_until("held", lambda: item.acquired)
    assert stored(api)["holderIdentity"] == "one"


def test_a_dead_holders_clock_does_not_matter(process: Callable[[str], Process], api: ApiServer, clock: Clock) -> None:
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "2099-01-01T00:00:00.000000Z"}
    api.create("Lease", LEASE.name, spec=spec)
    item = process("one")
    item.start()
    clock.until("taken over", lambda: item.acquired)


def test_a_live_holder_with_a_slow_clock_keeps_it(
    process: Callable[[str], Process], api: ApiServer, clock: Clock
) -> None:
    spec = {"holderIdentity": "alive", "leaseDurationSeconds": 2, "renewTime": "2000-01-01T00:00:00.000000Z"}
    api.create("Lease", LEASE.name, spec=spec)
    item = process("one")
    item.start()
    for number in range(4):  # longer than the Lease, without a renewal
        pass_time(clock, item)
        api.patch("Lease", LEASE.name, {"spec": {"renewTime": f"2000-01-01T00:00:{number:02}.000000Z"}})
        wait_for_requests(2, item)
        assert not item.held
    assert item.acquired is None


def test_one_that_is_told_to_stop_while_it_waits_ends(process: Callable[[str], Process], api: ApiServer) -> None:
    api.create("Lease", LEASE.name, spec={"holderIdentity": "alive", "leaseDurationSeconds": 60})
    item = process("one")
    item.start()
    item.stop.set()
    wait_until("ended", lambda: item.acquired is False)
    assert stored(api)["holderIdentity"] == "alive"


def test_an_api_server_that_does_not_answer_is_waited_for(process: Callable[[str], Process]) -> None:
    item = process("one")
    item.cut_off = True
    item.start()
    wait_for_requests(2, item)
    assert item.acquired is None
    item.cut_off = False
    wait_until("held", lambda: item.acquired)
    assert item.held


def test_a_bug_while_it_renews_is_survived(
    process: Callable[[str], Process],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
) -> None:
    item = process("one")
    item.start()
    wait_until("held", lambda: item.acquired)
    with monkeypatch.context() as broken:
        broken.setattr(item.cluster, "replace_lease", lambda lease: [][0])
        wait_until("logged", lambda: "internal error" in caplog.text)
    for _ in range(3):
        pass_time(clock, item)
    assert item.held
    assert item.losses == []


def test_a_bug_that_stays_loses_it(
    process: Callable[[str], Process], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    item = process("one")
    item.start()
    wait_until("held", lambda: item.acquired)
    monkeypatch.setattr(item.cluster, "replace_lease", lambda lease: [][0])
    clock.until("told", lambda: item.losses)
    assert "IndexError" in item.losses[0]
    assert not item.held


def test_who_leads_is_told_as_it_is_now(api: ApiServer, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(api.kubeconfig()))
    settings = main.Settings([NAMESPACE], read_only=False, lease=LEASE, listen="127.0.0.1:0", kubeconfig=kubeconfig)
    process = main.Process(settings, Event())

    def leads() -> float | None:
        return process.operator.metrics.registry.get_sample_value("aliasctl_leader")

    assert leads() == 0
    assert process.elector.acquire(Event())
    assert leads() == 1
    process.elector.release()
    assert leads() == 0
    assert process.operator.close(TIMEOUT)
    process._cluster._client.close()
