"""A filled Milvus, and the commands that the scenarios run on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import server, shapes
from benchmarks.bench import Bench
from benchmarks.counting import Counted, count, write_calls
from benchmarks.measure import Entrant
from benchmarks.results import Calls, Who
from reconciler.core.model import DEFAULT_CONCURRENCY

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Stage:
    """A filled server: aliases that share collections, and aliases with one each."""

    bench: Bench
    uri: str

    @property
    def shared(self) -> dict[str, str]:
        return shapes.dealt(self.bench.sizes.medium, self.bench.sizes.shared)

    @property
    def single(self) -> dict[str, str]:
        return shapes.dealt(self.bench.sizes.single, self.bench.sizes.single, "products_single")

    def fill(self) -> None:
        server.fill(self.uri, sorted({*self.shared.values(), *self.single.values()}), self.shared | self.single)

    def manifest(self, name: str, desired: shapes.Pointing, gates: str = shapes.UNGATED) -> Path:
        return shapes.write_manifest(self.bench.folder / f"{name}.yaml", desired, self.uri, gates=gates)

    def plan(self, who: Who, manifest: Path) -> Entrant:
        return self.bench.ours(who, "plan", "-f", manifest)

    def naive(self, name: str, desired: shapes.Pointing) -> Entrant:
        pointing = shapes.write_pointing(self.bench.folder / f"{name}.json", desired)
        return self.bench.python(Who.NAIVE, "-P", HERE / "naive_script.py", self.uri, pointing)

    def bare_loop(self, name: str, desired: shapes.Pointing) -> Entrant:
        moves = shapes.write_pointing(self.bench.folder / f"{name}-loop.json", desired)
        return self.bench.python(Who.WRITES, "-P", HERE / "bare_loop.py", self.uri, moves, str(DEFAULT_CONCURRENCY))

    def same_calls(self, name: str, ours: Counted) -> Entrant:
        calls = write_calls(self.bench.folder / f"{name}-calls.json", ours.calls)
        return self.bench.python(
            Who.SAME_CALLS, "-P", HERE / "bare_calls.py", self.uri, calls, str(DEFAULT_CONCURRENCY)
        )

    def count(self, entrant: Entrant) -> Counted:
        return count(entrant, self.uri)

    def counted_plan(self, plan: Entrant, bound: int | None = None) -> tuple[Counted, Calls]:
        """Count the calls of a plan, and note what it says of itself and of the server."""
        done = self.count(plan)
        target = done.document["targets"][0]
        self.bench.versions["Milvus"] = target["serverVersion"]
        return done, Calls(done.total, done.greetings, target["calls"], bound)
