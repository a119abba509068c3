"""Which fault befalls which call, drawn from a seed."""

from __future__ import annotations

from enum import StrEnum
from random import Random

from tests.faults.relay import Call


class Fault(StrEnum):
    """What can befall a call; the last three befall writes only."""

    DELAYED = "delayed"
    UNAVAILABLE = "gRPC UNAVAILABLE, not acted on"
    EXHAUSTED = "gRPC RESOURCE_EXHAUSTED, not acted on"
    RATE_LIMITED = "Milvus's code 8, not acted on"
    CUT_BEFORE = "connections cut before the server acted"
    CUT_AFTER = "connections cut after the server acted"
    DROPPED = "never answered, not acted on"
    HUNG = "acted on, never answered"
    LATE = "acted on when the client had given up"
    VERY_LATE = "acted on a second later"
    OVERTAKEN = "acted on, then changed by somebody else, then cut"


REFUSALS = (Fault.EXHAUSTED, Fault.RATE_LIMITED)
"""With these a server says that it did not act, and may be asked again."""
_WRITES_ONLY = (Fault.LATE, Fault.VERY_LATE, Fault.OVERTAKEN)
_GREETINGS = ("Connect", "GetVersion")
"""What fails here ends a run before it has begun."""
_WEIGHTS = {Fault.DROPPED: 1, Fault.HUNG: 1, Fault.LATE: 1, Fault.VERY_LATE: 1}
"""These cost a whole timeout; the others, which weigh 3, cost milliseconds."""


class Schedule:
    """A seed's faults: some kinds of them, more or less often; now and then the server goes away in mid-run for good.

    What befalls a call depends on the seed, its method, the alias and how often that was called, and not on the order
    in which calls in flight happen to arrive.

    Args:
        seed: of the faults.
        overtaken: whether somebody else may change aliases.
    """

    def __init__(self, seed: int | str, *, overtaken: bool = True) -> None:
        self.seed = seed
        random = Random(seed)  # noqa: S311 - repeatable
        kinds = [kind for kind in sorted(Fault) if overtaken or kind is not Fault.OVERTAKEN]
        self._kinds = random.sample(kinds, random.randint(1, len(kinds)))
        self._share_of_writes = random.choice((0.05, 0.2, 0.5))
        self._share_of_reads = random.choice((0.0, 0.05, 0.2, 0.6))
        self._outage = random.randint(1, 30) if random.random() < 0.2 else None
        self._arrived: dict[tuple[str, str], int] = {}
        self._writes = 0

    def draw(self, call: Call) -> Fault | None:
        """What befalls this call, the next one of its kind. Not for several threads at once."""
        if call.method in _GREETINGS:
            return None
        number = self._arrived[call.method, call.about] = self._arrived.get((call.method, call.about), 0) + 1
        self._writes += call.writes
        if self._outage is not None and self._writes >= self._outage:
            return Fault.UNAVAILABLE
        random = Random(f"{self.seed} {call.method} {call.about} {number}")  # noqa: S311
        kinds = [kind for kind in self._kinds if call.writes or kind not in _WRITES_ONLY]
        if not kinds or random.random() >= (self._share_of_writes if call.writes else self._share_of_reads):
            return None
        return random.choices(kinds, [_WEIGHTS.get(kind, 3) for kind in kinds])[0]
