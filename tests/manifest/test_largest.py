"""What the limits of the definitions are for: the largest AliasSet still fits into the API server's store."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.manifest import read
from reconciler.manifest.objects import read_alias_set
from reconciler.manifest.specs.status import MAX_CONDITION_MESSAGE
from tests.manifest.largest import ALIASES, LONGEST_NAME, fullest_status, largest_set

STORED_AT_MOST = 1_500_000
"""Bytes of one object in etcd."""
MANAGED_FIELDS = 380_000
"""Bytes that server-side apply adds to this object; the server leaves them out where all is too much (both measured on
1.20)."""
USUAL_MESSAGE = 150
"""Characters of a sentence with two or three names."""


def stored(status: dict[str, object]) -> int:
    """Bytes of the largest set with a status and with what the server fills in."""
    body = largest_set()
    for alias in body["spec"]["aliases"]:
        alias["state"] = "Present"
    return len(json.dumps(body | {"status": status}, separators=(",", ":")).encode())


def test_the_largest_set_is_a_set_that_everybody_accepts(tmp_path: Path) -> None:
    (tmp_path / "largest.yaml").write_text(json.dumps(largest_set()))
    [written] = read([tmp_path]).sets
    served = read_alias_set(largest_set())
    for desired in (written, served):
        assert len(desired.aliases) == ALIASES
        assert {len(alias.name) for alias in desired.aliases} == {LONGEST_NAME}
        assert {len(alias.collection or "") for alias in desired.aliases} == {LONGEST_NAME}
    assert served.aliases == written.aliases


def test_the_largest_set_fits_with_its_status() -> None:
    assert stored(fullest_status(USUAL_MESSAGE)) + MANAGED_FIELDS < STORED_AT_MOST
    assert stored(fullest_status(MAX_CONDITION_MESSAGE)) < STORED_AT_MOST
