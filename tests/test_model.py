"""What counts when desired sets are compared."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.core.model import Alias, Source, Verify
from tests.builders import alias_set


def test_where_something_was_written_does_not_count() -> None:
    """Or an edited comment would be another set."""
    here, there = (replace(Alias("a", "v1"), source=Source("a.yaml", line)) for line in (1, 2))
    assert here == there
    assert not here != there  # noqa: SIM202 - a Struct answers this by itself
    assert len({here, there}) == 1
    sets = [replace(alias_set({}, alias), source=alias.source) for alias in (here, there)]
    assert sets[0] == sets[1]
    assert not sets[0] != sets[1]  # noqa: SIM202
    assert len(set(sets)) == 1


def test_the_timeouts_of_endpoints_count() -> None:
    """Also for the hash of a set, which a mapping does not have by itself."""
    slow, same, quick = (Verify(endpoint_timeouts={"secondary": seconds}) for seconds in (60.0, 60.0, 5.0))
    assert len({slow, same, quick}) == len({alias_set({}, verify=verify) for verify in (slow, same, quick)}) == 2


def test_everything_else_counts() -> None:
    alias = Alias("a", "v1")
    for other in (Alias("b", "v1"), Alias("a", None), Alias("a", "v1", wave=1), Alias("a", "v1", protect=True)):
        assert alias != other
        assert alias_set({}, alias) != alias_set({}, other)
    assert alias != ("a", "v1", 0, False, alias.gates, None)
