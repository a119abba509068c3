"""A gate that only tests have: `python -m tests.cli.multiple_gate PYTHON -m MODULE ...` runs a module with it.

Nothing but this file and the line in `main` makes it known.
"""

from __future__ import annotations

import runpy
import sys
from typing import Annotated

from msgspec import Meta

from reconciler.core.gates import GateSettings
from reconciler.core.plan import GateResult, Step, Verdict
from reconciler.gates.gate import Call, Ends, Gate, required_if_on
from reconciler.gates.probe import Probe, of_desired
from reconciler.gates.registry import GATES


class MultipleGate(GateSettings, frozen=True):
    """The number of rows must be a multiple of another number."""

    gate = "multiple"
    rules = (required_if_on("of", "a multiple gate needs of: a number"),)

    of: Annotated[int, Meta(ge=2, description="The divisor.")]


def _check(gate: MultipleGate, step: Step, probe: Probe) -> GateResult:
    with of_desired(f"{step.desired} cannot be counted"):
        rows = probe.count(step.desired or "")
    verdict = Verdict.FAIL if rows % gate.of else Verdict.PASS
    return GateResult(gate.gate, verdict, f"{rows} rows, of {gate.of}", {"rows": rows})


GATE = Gate(
    settings=MultipleGate,
    about="The rows come in batches.",
    check=_check,
    needs={Call.QUERY: Ends.DESIRED},
    costly=True,
)


def main() -> None:
    from tests.cli.multiple_gate import GATE  # not that of `__main__`, which is about to be another module

    _, _, _, module, *arguments = sys.argv
    GATES[GATE.name] = GATE
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
