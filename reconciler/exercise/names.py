"""The names that the exercises use, and the rows of their collections."""

from __future__ import annotations

from reconciler.catalog.port import SANDBOX_PREFIX

PREFIX = SANDBOX_PREFIX

OLD, NEW = f"{PREFIX}old", f"{PREFIX}new"
"""The two collections that aliases are moved between, both loaded."""
SPARE, RENAMED = f"{PREFIX}spare", f"{PREFIX}renamed"
"""An empty collection that some exercises create and drop, and its other name."""
COLLECTIONS = (OLD, NEW, SPARE, RENAMED)
MISSING = f"{PREFIX}missing"
"""A collection and alias that does not exist."""
A, B = f"{PREFIX}a", f"{PREFIX}b"
LONGER = f"{A}_longer"
DANGLING = f"{PREFIX}dangling"
PART = "part"

KEYS = {OLD: (1,), NEW: (2,)}
"""The keys of the rows, which show what collection answered a read through an alias."""
