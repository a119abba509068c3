"""The table of emulated behaviour and that of the product were written apart, and say the same of every version."""

from __future__ import annotations

import pytest

from reconciler.catalog.server_behaviour import TABLE, Row, behaviour_of
from reconciler.catalog.server_version import Product
from reconciler.core.model import Certainty
from tests.emulated_milvus.behaviour import COLUMNS, FIELDS, VERSIONS, Behaviour

NOT_EMULATED = {"mixes_metadata"}
"""Rows about which there is nothing to be done."""
FINER = {"alters_without_privilege", "load_state_needs_load", "checks_name_in_drop", "expires_before_change"}
"""Emulated differences of which aliasctl need not know."""
ROWS = {row.name: row for row in TABLE if row.product is Product.MILVUS and row.name not in NOT_EMULATED}


def emulated(name: str, behaviour: Behaviour) -> bool:
    if name == "readers_stay_stuck":
        return behaviour.keeps_stuck_readers and behaviour.ignores_realter
    return bool(getattr(behaviour, name))


def test_both_have_the_same_rows() -> None:
    assert ROWS.keys() - {"readers_stay_stuck"} == set(FIELDS) - FINER


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("version", COLUMNS)
def test_a_row_says_the_same_of_a_version(version: str, row: Row) -> None:
    found = VERSIONS[version]
    if version == "cloud":
        certainty = row.certainty(behaviour_of(found.build_tags).version)
        assert certainty is Certainty.POSSIBLE or (certainty is Certainty.YES) is emulated(row.name, found)
    else:
        certainty = row.certainty(behaviour_of(found.version).version)
        assert certainty is (Certainty.YES if emulated(row.name, found) else Certainty.NO)
