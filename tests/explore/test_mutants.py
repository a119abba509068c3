"""Each small mutation of the core is found by the suite that is named for it; `make soak` tries it with all suites."""

from __future__ import annotations

import pytest

from tests.explore.mutants import MUTANTS, SUITES, Mutant, killers


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutation_of_the_core_breaks_a_promise(mutant: Mutant, soak: bool) -> None:
    found = killers(mutant, tuple(SUITES) if soak else (mutant.killed_by,))
    assert mutant.killed_by in {item.suite for item in found}
    print(mutant.name, *found, sep="\n  ")
