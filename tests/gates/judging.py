"""Gates asked about one step, without a plan around it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

from reconciler.catalog.memory import MemoryServer
from reconciler.core.errors import CatalogError
from reconciler.core.gates import Gates
from reconciler.core.model import Row, Vector
from reconciler.core.plan import GateResult, Step
from reconciler.gates import evaluate_gates
from reconciler.gates.loaded import LoadedGate
from tests.builders import LOCAL
from tests.faults.memory import Recorder

OFF = LoadedGate(enabled=False)
"""Out of the way of the other gates."""


def move(gates: Gates, current: str | None = "c1", desired: str | None = "c2", alias: str = "a") -> Step:
    return Step("shop", alias, current, desired, gates=gates)


def judged(
    made: MemoryServer | Recorder, *steps: Step, which: Collection[str] | None = None, blocking: bool = True
) -> Step:
    """The first step, after its gates and those of the others were asked."""
    return evaluate_gates(steps, made.connect(LOCAL, "default"), which=which, blocking=blocking)[0]


def asked(made: MemoryServer | Recorder, gates: Gates, current: str | None = "c1") -> GateResult:
    """The result of the only gate that is on, beside `loaded`."""
    (result,) = [result for result in judged(made, move(gates, current)).gate_results if result.gate != "loaded"]
    return result


def failing(made: MemoryServer, error: CatalogError, *questions: tuple[str, str]) -> Recorder:
    """A server that cannot answer some questions, each a method and a collection."""

    def refuse(method: str, name: str) -> None:
        if (method, name) in questions:
            raise error

    recorder = Recorder(made)
    recorder.before = refuse
    return recorder


def counting(made: MemoryServer) -> tuple[Recorder, Callable[[str], int]]:
    """A server, and how often one of its methods was called."""
    seen: list[str] = []
    recorder = Recorder(made)
    recorder.before = lambda method, _: seen.append(method)
    return recorder, seen.count


def vectors(number: int, dimension: int = 4, seed: int = 1) -> list[Vector]:
    random = Random(seed)  # noqa: S311 - the same ones each time
    return [tuple(random.gauss(0, 1) for _ in range(dimension)) for _ in range(number)]


def rows(number: int, start: int = 0) -> list[Row]:
    """So many rows with keys from `start`, each with a vector of its own that its key decides."""
    found: list[Row] = [{"id": key, "vector": vector} for key, vector in enumerate(vectors(start + number))]
    return found[start:]
