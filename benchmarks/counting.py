"""Calls to Milvus, counted by a proxy that knows nothing of what the process says, and what the goals allow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from pymilvus.grpc_gen import milvus_pb2

from benchmarks.measure import Entrant, run
from benchmarks.shapes import ALIASES_A_SET, Pointing
from tests.kubernetes.counting_proxy import Call, counting_proxy

GREETING = "Connect"
"""What pymilvus sends when a client is opened. It is counted, but is no call of ours that we could report."""
SERVICE = milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"]


@dataclass(frozen=True)
class Counted:
    """An untimed run through the proxy; `document` is what the process printed, if that was JSON."""

    calls: Sequence[Call]
    document: Mapping[str, Any]

    @property
    def total(self) -> int:
        return len(self.calls)

    @property
    def greetings(self) -> int:
        return sum(call.method == GREETING for call in self.calls)


def count(entrant: Entrant, uri: str) -> Counted:
    """Run a command once with the proxy between it and the server at `uri`."""
    with counting_proxy(uri) as proxy:
        ours = Path(entrant.command[0]).name == "aliasctl"
        through = ["--uri", proxy.uri, "--format", "json"] if ours else []
        command = [part.replace(uri, proxy.uri) for part in entrant.command] + through
        done = run(replace(entrant, command=command))
        return Counted(list(proxy.calls), json.loads(done.output) if ours else {})


def plan_bound(live: Pointing, desired: Pointing) -> int:
    """The most calls that a plan without gates may make, all of `wanted` being live."""
    changed = [alias for alias in desired if live[alias] != desired[alias]]
    named = {pointing[alias] for alias in changed for pointing in (live, desired)}
    return min(len(set(desired.values())) + len(changed), len(desired)) + len(named) + 4


def apply_bound(plan: int, live: Pointing, desired: Pointing) -> int:
    """The most calls that an apply may make, gates and propagation off; waves are per set, and each set has one.

    Args:
        plan: the calls of its plan.
        wanted: in the order of the manifest.
    """
    changed = [number for number, alias in enumerate(desired) if live[alias] != desired[alias]]
    waves = len({number // ALIASES_A_SET for number in changed})
    return plan + 2 * len(changed) + waves * len(set(desired.values())) + 2


def write_calls(path: Path, calls: Iterable[Call]) -> Path:
    """The calls of a process for `bare_calls.py`, in their order."""
    path.write_text(json.dumps([_bare(call) for call in calls if call.method != GREETING]))
    return path


def _bare(call: Call) -> tuple[str, str]:
    """The path of a method and its request; those that plan and apply use have no other fields of weight."""
    method = SERVICE.methods_by_name[call.method]
    fields = {"db_name": call.database, "alias": call.alias, "collection_name": call.collection}
    known = {name: value for name, value in fields.items() if value and name in method.input_type.fields_by_name}
    request = GetMessageClass(method.input_type)(**known)
    return f"/{SERVICE.full_name}/{call.method}", request.SerializeToString().hex()
