"""Reading back the JSON documents that this tool wrote: what plan files and reports have in common.

What is loaded is checked against its schema, and becomes nothing but records: there is nothing in it that could be
executed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from jsonschema_rs import ValidationError

from reconciler.catalog.address import normalise
from reconciler.core import json_strict
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source, Target
from reconciler.core.plan import TargetPlan
from reconciler.documents.codec import Document, connection_of, set_of, step_of
from reconciler.documents.formats import FORMAT_VERSION
from reconciler.documents.records import validator
from reconciler.files import MIB, read_limited

MAX_BYTES = 64 * MIB
MAX_PROBLEMS = 10
"""Of one document; the further ones are mostly echoes."""
LONGEST_WORDS = 200
"""Characters of a document that a message repeats."""


@dataclass(frozen=True, slots=True)
class SavedForm:
    """A kind of document: what people call it, and what they may have meant when they named another file."""

    kind: str
    schema: Document
    name: str
    hint: str
    newer: str


def load_document(path: Path, form: SavedForm) -> Document:
    """Read a document of a certain kind.

    Raises:
        InvalidInput: not readable, of another kind, of another format, or not as its schema has it.
    """
    document = _read(path, form)
    if document.get("kind") != form.kind:
        raise invalid(path, f"not a {form.name}: kind is {_shortened(document.get('kind'))}")
    if document.get("formatVersion") != FORMAT_VERSION:
        version = _shortened(document.get("formatVersion"))
        about = f"{form.kind.lower()} format {version} is not the one this aliasctl reads ({FORMAT_VERSION})"
        raise invalid(path, f"{about}; {form.newer}")
    _check(path, document, form)
    return document


def invalid(path: Path, message: str) -> InvalidInput:
    """What is wrong with a file."""
    return InvalidInput(Problem(message, Source(str(path))))


def target_plan_of(document: Document, path: Path, form: SavedForm) -> TargetPlan:
    """One database of a plan or report. Raises `InvalidInput` if its connection leads somewhere else."""
    places = [document, *(end for item in document["sets"] for end in item.get("verify", {}).get("endpoints", ()))]
    if any(_address(place["connection"]["uri"]) != place["address"] for place in places):
        message = (
            f"the {form.name} was edited: a connection does not lead to the address that the {form.kind.lower()} is for"
        )
        raise invalid(path, message)
    steps = [step_of(step) for step in document["steps"]]
    return TargetPlan(
        target=Target(document["address"], document["database"]),
        connection=connection_of(document["connection"], document["address"]),
        sets=tuple(set_of(item, steps) for item in document["sets"]),
        server_version=document["serverVersion"],
        alias_count=int(document["aliases"]),
        calls=int(document["calls"]),
        offline=document["offline"],
    )


def _read(path: Path, form: SavedForm) -> Document:
    try:
        document = json_strict.loads(read_limited(path, MAX_BYTES))
    except OSError as error:
        raise invalid(path, f"cannot be read as a {form.name}: {error.strerror}; {form.hint}") from error
    except ValueError as error:
        raise invalid(path, f"not a {form.name}: not valid JSON; {form.hint}") from error
    if not isinstance(document, dict):
        raise invalid(path, f"not a {form.name}: not a JSON object")
    return document


def _check(path: Path, document: Document, form: SavedForm) -> None:
    """Against the schema."""
    errors = list(islice(validator(form.schema).iter_errors(document), MAX_PROBLEMS))
    if errors:
        raise InvalidInput(
            *(
                Problem(f"not a valid {form.name}: {_place(error)}: {_words(error)}", Source(str(path)))
                for error in errors
            )
        )


def _place(error: ValidationError) -> str:
    """As a JSON path."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)


def _words(error: ValidationError) -> str:
    """What is wrong; near a credential without the value, which somebody may have written in its place."""
    return "is not as it should be" if "connection" in error.instance_path else error.message[:LONGEST_WORDS]


def _shortened(value: object) -> str:
    return json.dumps(value)[:LONGEST_WORDS]


def _address(uri: str) -> str | None:
    try:
        return normalise(uri, Path("/"))[1]
    except ValueError:
        return None
