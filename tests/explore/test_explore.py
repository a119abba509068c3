"""Every schedule of a few faults in small cases: few of them in CI, more under `make soak`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.explore import cases
from tests.explore.explorer import Case, explore
from tests.reliability.tally import Tally

IN_MEMORY = "in-memory Milvus"


@pytest.mark.parametrize("case", cases.ALL, ids=lambda case: case.name)
def test_no_schedule_of_faults_breaks_a_promise(case: Case, soak: bool, tally: Callable[[str, str], Tally]) -> None:
    budget = case.deep if soak else case.quick
    suite = tally(f"Every schedule of up to {budget} faults: {case.suite}", IN_MEMORY)
    with suite.case():
        figures = explore(case, budget)
    suite.cases += figures.executions - 1
    suite.faults += figures.faults
    suite.states += figures.states
    print(
        f"{figures.executions:,} executions, {figures.states:,} states, {len(figures.settled):,} of them between runs"
    )
