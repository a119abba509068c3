"""What a gate is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Generic

import msgspec

from reconciler.core.gates import Settings
from reconciler.core.json_schema import Rule
from reconciler.core.plan import GateResult, Step
from reconciler.gates.probe import Probe


class Call(StrEnum):
    """Calls that Milvus permits per collection, by the name of the privilege."""

    GET_LOAD_STATE = "GetLoadState"
    SHOW_PARTITIONS = "ShowPartitions"
    DESCRIBE_INDEX = "DescribeIndex"
    QUERY = "Query"
    SEARCH = "Search"


class Ends(StrEnum):
    """The collections of a move that a call is made on."""

    DESIRED = "desired"
    BOTH = "both"


class Gate(msgspec.Struct, Generic[Settings], frozen=True, eq=False, kw_only=True):
    """One gate. Its settings have its name, its fields and the rules across them.

    Args:
        settings: the record that manifests and plans hold for it.
        about: a sentence for the reference: what is true where it passes.
        check: evaluate a create or alter. Returns None where the gate does not apply, raises `CannotTell` where there
            is nothing to judge.
        guard: the same for a move whose alias has no settings of this gate, and for every step of a rollback.
        needs: the calls that it takes per collection, for `aliasctl check`.
        reads_grants: whether it reads the grants of all roles, which takes privileges of its own.
        costly: whether it takes exact counts or searches, which a busy server notices, or calls another system.
        watched: whether it is evaluated again while a wave soaks.
        after_others: whether it is evaluated only if no gate before it blocks the step; it finds their results in the
            step.
    """

    settings: type[Settings]
    about: str
    check: Callable[[Settings, Step, Probe], GateResult | None]
    guard: Callable[[Step, Probe], GateResult | None] | None = None
    needs: Mapping[Call, Ends] = {}
    reads_grants: bool = False
    costly: bool = False
    watched: bool = False
    after_others: bool = False

    @property
    def name(self) -> str:
        return self.settings.gate


def required_if_on(field: str, message: str) -> Rule:
    """Return the rule that a gate which is on has this field."""
    return if_on(message, f"has(self.{field})", {"required": [field]})


def if_on(message: str, cel: str, json: dict[str, object]) -> Rule:
    """Return a rule that holds for a gate which is on; a gate that is off needs nothing else."""
    off = {"properties": {"enabled": {"const": False}}, "required": ["enabled"]}
    return Rule(message=message, cel=f"(has(self.enabled) && !self.enabled) || {cel}", json={"if": off, "else": json})


def ascending(low: str, high: str) -> Rule:
    """Return the rule that one number is not more than another, which JSON Schema cannot compare."""
    return Rule(
        message=f"{low} is more than {high}",
        cel=f"!has(self.{low}) || !has(self.{high}) || self.{low} <= self.{high}",
        ascending=(low, high),
    )
