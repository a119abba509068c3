"""The guards that rely on what the exercises observe, each with the section of the documentation that describes it."""

from __future__ import annotations

from enum import Enum


class Guard(Enum):
    """A guard: its name, and where it is described."""

    RE_READ = "re-read before each call", "docs/semantics.md#steps-and-outcomes"
    READ_AFTER_ERROR = "read after a failed call", "docs/semantics.md#steps-and-outcomes"
    READ_BACK = "read-back after each wave", "docs/semantics.md#order"
    DANGLING = "repair of dangling aliases", "docs/semantics.md#dangling-aliases"
    PREFIX_DROPS = "blocked drops", "docs/semantics.md#drops-that-delete-other-aliases"
    STALE_PLAN = "stale plans", "docs/semantics.md#stale-plans"
    PROPAGATION = "verify.propagation", "docs/semantics.md#propagation-to-clients"
    SCOPE = "scope", "docs/safety.md#scope-what-a-set-may-drop"
    LOADED = "gate loaded", "docs/safety.md#gates"
    ROWS = "gate rows", "docs/safety.md#gates"
    NAMES = "checks before any call", "docs/semantics.md#names"
    PRIVILEGES = "check of privileges", "docs/connect.md#check-the-connection-first"

    @property
    def words(self) -> str:
        return self.value[0]

    @property
    def page(self) -> str:
        return self.value[1]
