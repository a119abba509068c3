"""`onFailure: Revert` on real servers: a failure anywhere leaves the aliases as they were, and is not repeated unasked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from reconciler.catalog import Catalogs, connect
from reconciler.journal import Journal
from reconciler.manifest import load
from reconciler.reconcile import apply_plan, make_plan
from reconciler.report import ExitCode, Outcome, Report
from tests.cli.shop import Relay, Shop, connection

BEFORE = {"a": "old", "b": "old", "c": "old", "gone": "old", "pruned": "old", "bystander": "old"}
AFTER = {"a": "new", "b": "new", "c": "new", "made": "new", "bystander": "old"}
WANTED: dict[str, Any] = {
    "a": "new",
    "b": "new",
    "c": {"collection": "new", "wave": 1},
    "made": {"collection": "new", "wave": 1},
    "gone": {"state": "Absent", "wave": 2},
}
ORDER = ["a", "b", "c", "made", "gone", "pruned"]
"""The steps in the order in which they are made if it is one at a time."""
