"""The gates of a document → the record that holds for an alias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypedDict, TypeVar

from reconciler.core.model import (
    DEFAULT_CANARY_K,
    DEFAULT_CANARY_SAMPLE,
    CanaryGate,
    ContractGate,
    Gates,
    IndexedGate,
    LoadedGate,
    OnUnknown,
    QueryFile,
    RowsGate,
    SchemaGate,
    SchemaPolicy,
)
from reconciler.manifest.yaml_marks import Node


class _Gate(TypedDict, total=False):
    enabled: bool


class _Loaded(_Gate, total=False):
    replicas: int


class _Rows(_Gate, total=False):
    min: int
    max: int
    minPercentOfCurrent: float
    maxPercentOfCurrent: float


class _Schema(_Gate, total=False):
    policy: Literal["Compatible", "Identical"]
    allowChanges: list[str]


class _Contract(_Gate, total=False):
    properties: dict[str, str]


class _Canary(_Gate, total=False):
    minOverlap: float
    k: int
    maxLatencyRatio: float
    queriesFile: str
    sample: int
    field: str


class GatesDocument(TypedDict, total=False):
    """The gates of a set or of an alias, as they are written."""

    loaded: _Loaded
    indexed: _Gate
    rows: _Rows
    schema: _Schema
    contract: _Contract
    canary: _Canary
    onUnknown: Literal["Fail", "Pass"]


_AnyGate = TypeVar("_AnyGate", bound=_Gate)


def gates_of(document: GatesDocument, queries: Mapping[str, QueryFile]) -> Gates:
    """The record.

    Args:
        document: an alias's own gates over those of its set.
        queries: the files that canary gates name, by the name as it is written.
    """
    loaded = document.get("loaded")
    rows, schema = _if_on(document.get("rows")), _if_on(document.get("schema"))
    contract, canary = _if_on(document.get("contract")), _if_on(document.get("canary"))
    return Gates(
        loaded=None if loaded is None else _loaded(loaded),
        indexed=None if _if_on(document.get("indexed")) is None else IndexedGate(),
        rows=None if rows is None else _rows(rows),
        schema=None if schema is None else _schema(schema),
        contract=None if contract is None else ContractGate(tuple(sorted(contract["properties"].items()))),
        canary=None if canary is None else _canary(canary, queries),
        on_unknown=OnUnknown(document.get("onUnknown", OnUnknown.FAIL)),
    )


def gate_nodes(root: Node, name: str) -> Iterator[Node]:
    """The places where an AliasSet has a gate of this name: in the set, in its aliases."""
    for owner in (root.find("spec"), *root.at(("spec", "aliases")).items):
        if owner and (gate := owner.find("gates", name)):
            yield gate


def _if_on(gate: _AnyGate | None) -> _AnyGate | None:
    return gate if gate is not None and gate.get("enabled", True) else None


def _loaded(gate: _Loaded) -> LoadedGate:
    # Off is not absent here: without a word about it, the default guard holds.
    return LoadedGate(replicas=_whole(gate.get("replicas"))) if _if_on(gate) is not None else LoadedGate(enabled=False)


def _rows(gate: _Rows) -> RowsGate:
    return RowsGate(
        min=_whole(gate.get("min")),
        max=_whole(gate.get("max")),
        min_percent=_decimal(gate.get("minPercentOfCurrent")),
        max_percent=_decimal(gate.get("maxPercentOfCurrent")),
    )


def _schema(gate: _Schema) -> SchemaGate:
    policy = SchemaPolicy(gate.get("policy", SchemaPolicy.COMPATIBLE))
    return SchemaGate(policy, tuple(sorted(set(gate.get("allowChanges", ())))))


def _canary(gate: _Canary, queries: Mapping[str, QueryFile]) -> CanaryGate:
    file = gate.get("queriesFile")
    return CanaryGate(
        min_overlap=float(gate["minOverlap"]),
        k=int(gate.get("k", DEFAULT_CANARY_K)),
        max_latency_ratio=_decimal(gate.get("maxLatencyRatio")),
        queries=None if file is None else queries[file],
        sample=int(gate.get("sample", DEFAULT_CANARY_SAMPLE)),
        field=gate.get("field"),
    )


# `5` and `5.0` are one number to whoever writes a manifest, and one in a plan's digest.
def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _decimal(number: float | None) -> float | None:
    return None if number is None else float(number)
