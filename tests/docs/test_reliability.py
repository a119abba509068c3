"""The page on reliability holds what the long trial found: every violation that was seen, and nothing made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.__main__ import DATA, PAGE
from tests.reliability.page import Results, load, page
from tests.reliability.tally import Tally, collect, write


def test_the_page_is_what_the_results_give() -> None:
    assert PAGE.read_text() == page(load(DATA)), "run `make soak`"


def test_no_promise_was_broken_in_the_trial_that_is_published() -> None:
    found = load(DATA).tallies
    assert {item.server.split(" on ")[0] for item in found} >= {"Milvus 2.3.5", "Milvus Lite 3.2", "no server"}
    assert [item for item in found if item.violations] == []


def test_a_case_that_fails_is_a_violation_and_still_fails_its_test() -> None:
    item = Tally("cuts", "some server")
    with item.case(faults=2):
        pass
    with pytest.raises(AssertionError, match="moved"), item.case(faults=3):
        raise AssertionError("moved")
    assert (item.cases, item.faults, item.violations) == (2, 5, 1)


def test_tests_that_try_the_same_are_one_row_with_the_worst_of_all(tmp_path: Path) -> None:
    write([Tally("cuts", "one", 1200, 5, 1, 2.5), Tally("cuts", "other", 1), Tally("never begun", "one")], tmp_path)
    write([Tally("cuts", "one", 34, 5, 0, 0.5)], tmp_path)
    found = collect(tmp_path)
    assert [(item.suite, item.server) for item in found] == [("cuts", "one"), ("cuts", "other")]
    text = page(Results("2026-01-01", {"processor": "some"}, 3600, found))
    assert "| cuts | one | 1,234 | 10 | 1 | 2.5 s |" in text
    assert "| cuts | other | 1 | 0 | 0 |  |" in text
    assert "| duration | 60 minutes |" in text
