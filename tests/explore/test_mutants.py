"""Each small mutation of the core is found by the suite that is named for it; `make soak` tries it with all suites."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.explore.mutants import MUTANTS, SUITES, Mutant, killers
from tests.reliability.tally import Tally


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutation_of_the_core_breaks_a_promise(
    mutant: Mutant, soak: bool, tally: Callable[[str, str], Tally]
) -> None:
    with tally("Mutations of the core, each found by the exploration", "in-memory Milvus").case(faults=1):
        found = killers(mutant, tuple(SUITES) if soak else (mutant.killed_by,))
        print(mutant.name, *found, sep="\n  ")
        assert mutant.killed_by in {item.suite for item in found}
