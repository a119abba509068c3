"""Reading a plan file back.

What is loaded is checked against the schema and against its own digest, and becomes nothing but records: there is
nothing in it that could be executed. Whoever can write the file can choose its steps, as with any script.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.codec import Document, connection_of, set_of, step_of
from reconciler.errors import InvalidInput, Problem
from reconciler.formats import FORMAT_VERSION, PLAN, checksum
from reconciler.manifest.address import normalise
from reconciler.model import Source, Target
from reconciler.plan import Plan, TargetPlan

if TYPE_CHECKING:
    from jsonschema import ValidationError

NOT_A_MANIFEST = "manifests are given with -f"
MAX_BYTES = 64 * 1024 * 1024


def load_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        InvalidInput: not readable, not a plan, of a newer format, or edited since it was written.
    """
    document = _read(path)
    if document.get("kind") != "Plan":
        raise _invalid(path, f"not a plan file: kind is {json.dumps(document.get('kind'))}")
    if document.get("formatVersion") != FORMAT_VERSION:
        version = json.dumps(document.get("formatVersion"))
        raise _invalid(path, f"plan format {version} is not the one this aliasctl reads ({FORMAT_VERSION}); plan again")
    _check(path, document)
    plan = Plan(
        tuple(_target(target, path) for target in document["targets"]),
        document["created"],
        document["tool"]["version"],
    )
    actions = [step["action"] for target in document["targets"] for step in target["steps"]]
    unchanged = checksum(document) == document["checksum"] and plan.digest == document["digest"]
    if not unchanged or [step.action for step in plan.steps] != actions:
        raise _invalid(path, "the plan file was edited: it does not have the checksum it carries; plan again")
    return plan


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _invalid(path, f"too large for a plan file (over {MAX_BYTES // 1024 // 1024} MiB)")
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise _invalid(path, f"cannot be read as a plan file: {error.strerror}; {NOT_A_MANIFEST}") from error
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"not a plan file: not valid JSON; {NOT_A_MANIFEST}") from error
    if not isinstance(document, dict):
        raise _invalid(path, "not a plan file: not a JSON object")
    return document


def _check(path: Path, document: dict[str, Any]) -> None:
    """Against the schema; jsonschema is imported here because no other command needs it for plans."""
    from jsonschema import Draft202012Validator

    problems = [
        Problem(f"not a valid plan file: {error.json_path}: {_words(error)}", Source(str(path)))
        for error in Draft202012Validator(PLAN).iter_errors(document)
    ]
    if problems:
        raise InvalidInput(*problems[:10])


def _words(error: ValidationError) -> str:
    """What is wrong; near a credential without the value, which somebody may have written in its place."""
    return "is not as it should be" if "connection" in error.absolute_path else error.message[:200]


def _no_constant(text: str) -> float:
    raise ValueError(text)  # NaN and the infinities, which JSON does not have


def _invalid(path: Path, message: str) -> InvalidInput:
    return InvalidInput(Problem(message, Source(str(path))))


def _target(document: Document, path: Path) -> TargetPlan:
    places = [document, *(end for one in document["sets"] for end in one.get("verify", {}).get("endpoints", ()))]
    if any(_address(place["connection"]["uri"]) != place["address"] for place in places):
        raise _invalid(path, "the plan file was edited: a connection does not lead to the address that the plan is for")
    steps = [step_of(step) for step in document["steps"]]
    return TargetPlan(
        target=Target(document["address"], document["database"]),
        connection=connection_of(document["connection"], document["address"]),
        sets=tuple(set_of(one, steps) for one in document["sets"]),
        server_version=document["serverVersion"],
        alias_count=document["aliases"],
        calls=document["calls"],
        offline=document["offline"],
    )


def _address(uri: str) -> str | None:
    try:
        return normalise(uri, Path("/"))[1]
    except ValueError:
        return None
