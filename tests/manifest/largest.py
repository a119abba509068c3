"""The largest AliasSet that anybody may write; `python -m tests.manifest.largest FILE` writes it, for an API server.

Every name has 255 characters, every list of the status is full. The gates are those that nearly every set has: with
long queries in `verify.metrics` as well, a thousand such aliases would not fit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from reconciler.core.json_schema import Schema
from reconciler.manifest.kinds import API_VERSION
from reconciler.manifest.specs.status import (
    MAX_CONDITION_MESSAGE,
    MAX_MESSAGE,
    MAX_NOTIFICATIONS_OF_LARGE_SET,
    MAX_PENDING_VERIFICATION,
    status,
)

ALIASES = 1000
LONGEST_NAME = 255
MESSAGES = (MAX_MESSAGE, MAX_CONDITION_MESSAGE)
A_TIME = "2026-11-24T04:12:12.123Z"


def largest_set() -> dict[str, Any]:
    """The object as a user writes it, in JSON, which is YAML too."""
    return {
        "apiVersion": API_VERSION,
        "kind": "AliasSet",
        "metadata": {"name": "largest"},
        "spec": {
            "connectionRef": {"name": "c" * 253},
            "database": "d" * LONGEST_NAME,
            "scope": {"include": _globs("i"), "exclude": _globs("e"), "protect": _globs("p")},
            "aliases": [
                {"name": _name("a", number), "collection": _name("c", number), "wave": 1000, "protect": True}
                for number in range(ALIASES)
            ],
            "limits": {"maxDrops": 10, "maxChangePercent": 12.5, "allowEmpty": True},
            "gates": _gates(),
            "verify": {
                "propagation": {"timeout": "1h"},
                "endpoints": [{"name": f"{number:0253d}", "timeout": "1h"} for number in range(64)],
                "soak": "24h",
            },
            "onFailure": "Revert",
            "dependsOn": [{"name": f"{number:0253d}"} for number in range(16)],
            "suspend": False,
            "interval": "24h",
            "approval": "Manual",
            "drift": "Report",
            "publish": {"configMap": "c" * 253},
            "deletionPolicy": "Delete",
            "deletionTimeout": "24h",
        },
    }


def fullest_status(message: int) -> dict[str, Any]:
    """A status in which every field is there and every list is full.

    Args:
        message: how many characters each message has, as far as it may.
    """
    filled = cast("dict[str, Any]", _filled(status("AliasSet"), message))
    kinds = ("Ready", "Reconciling", "Stalled")
    [item, *_] = filled["conditions"]
    # A token that somebody chose has the limit of all annotations together, and this list one of its own.
    few = {"lastHandledReconcileAt": A_TIME, "pendingVerification": "u" * MAX_PENDING_VERIFICATION}
    few |= {"notifications": "n" * MAX_NOTIFICATIONS_OF_LARGE_SET}
    return filled | {"conditions": [item | {"type": kind} for kind in kinds]} | few


def _gates() -> dict[str, Any]:
    return {
        "loaded": {"enabled": True, "replicas": 2},
        "indexed": {"enabled": True},
        "schema": {"policy": "Compatible", "allowChanges": [_name("f", number) for number in range(64)]},
        "rows": {"min": 1, "max": 10**12, "minPercentOfCurrent": 95.5, "maxPercentOfCurrent": 120.5},
        "contract": {"properties": {_name("p", number): "v" * 1024 for number in range(64)}},
        "canary": {"minOverlap": 0.6, "k": 1000, "maxLatencyRatio": 2.5, "sample": 200, "field": _name("f", 0)},
        "onUnknown": "Fail",
    }


def _globs(start: str) -> list[str]:
    return [_name(start, number).replace("_", "?") for number in range(64)]


def _name(start: str, number: int) -> str:
    return f"{start}_{number:0{LONGEST_NAME - 2}d}"


def _filled(schema: Schema, message: int) -> object:
    """A value that is as large as its schema allows, but for messages."""
    if "enum" in schema:
        return max(cast("list[str]", schema["enum"]), key=len)
    match schema["type"]:
        case "object":
            fields = cast("dict[str, Schema]", schema["properties"])
            return {
                name: _filled(field | {"maxLength": min(cast("int", field["maxLength"]), message)}, message)
                if field.get("maxLength") in MESSAGES
                else _filled(field, message)
                for name, field in fields.items()
            }
        case "array":
            return [_filled(cast("Schema", schema["items"]), message)] * cast("int", schema["maxItems"])
        case "integer":
            return 2**60
        case "boolean":
            return False
        case _ if schema.get("format") == "date-time":
            return A_TIME
        case _:
            return "s" * cast("int", schema["maxLength"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(largest_set(), indent=1), encoding="utf-8")
