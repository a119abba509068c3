"""Read back the JSON documents that this tool wrote, strictly, as the records that they declare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from reconciler.catalog.address import normalise
from reconciler.core import json_strict
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.core.plan import Step, TargetPlan
from reconciler.documents.codec import Document, Malformed, decode
from reconciler.documents.kinds import DocumentKind
from reconciler.documents.migration import migrated
from reconciler.documents.parts import TargetDocument
from reconciler.files import MIB, read_limited

MAX_BYTES = 64 * MIB
LONGEST_WORDS = 200
"""Characters of a document that a message repeats."""
HEAD = ("kind", "formatVersion")
Content = TypeVar("Content", bound=Struct)


class SavedForm(Struct, frozen=True):
    """A kind of file.

    Args:
        name: as messages call it.
        hint: what the user may have meant where they named another file.
        other_version: what to do about a file of another format version.
        migrate: whether files of format version 1 are read too.
    """

    kind: DocumentKind
    name: str
    hint: str
    other_version: str
    migrate: bool = False


def load(path: Path, form: SavedForm, record: type[Content]) -> tuple[Document, Content]:
    """Return a document of a certain kind as it stands in a file, and its record.

    Raises `InvalidInput`: not readable, of another kind or format version, or not as its record declares it.
    """
    try:
        content = read_limited(path, MAX_BYTES)
    except OSError as error:
        raise invalid(path, f"cannot be read as a {form.name}: {error.strerror}; {form.hint}") from error
    return load_content(content, path, form, record)


def load_content(content: bytes, path: Path, form: SavedForm, record: type[Content]) -> tuple[Document, Content]:
    """Do as `load` with content that was read from a path."""
    document = _parsed(content, path, form)
    if document.get("kind") != form.kind.name:
        raise invalid(path, f"not a {form.name}: kind is {_shortened(document.get('kind'))}")
    version = document.get("formatVersion")
    old = form.migrate and version == 1
    if version != form.kind.version and not old:
        about = f"{form.kind.name.lower()} format {_shortened(version)} is not the one this aliasctl reads"
        raise invalid(path, f"{about} ({form.kind.version}); {form.other_version}")
    body = {name: value for name, value in document.items() if name not in HEAD}
    try:
        return document, decode(migrated(body) if old else body, record)
    except Malformed as error:
        raise invalid(path, f"not a valid {form.name}: {_words(error)}") from error


def invalid(path: Path, message: str) -> InvalidInput:
    return InvalidInput(Problem(message, Source(str(path))))


def target_plan_of(document: TargetDocument, steps: Sequence[Step], path: Path, form: SavedForm) -> TargetPlan:
    """Return one database of a plan or report with its steps.

    Raises `InvalidInput`: its connection leads somewhere else.
    """
    plan = document.record(steps)
    endpoints = (endpoint for set_plan in plan.sets for endpoint in set_plan.verify.endpoints)
    if any(_address(connection.uri) != connection.address for connection in (plan.connection, *endpoints)):
        kind = form.kind.name.lower()
        message = f"the {form.name} was edited: a connection does not lead to the address that the {kind} is for"
        raise invalid(path, message)
    return plan


def _parsed(content: bytes, path: Path, form: SavedForm) -> Document:
    try:
        document = json_strict.loads(content)
    except ValueError as error:
        raise invalid(path, f"not a {form.name}: not valid JSON; {form.hint}") from error
    if not isinstance(document, dict):
        raise invalid(path, f"not a {form.name}: not a JSON object")
    return document


def _words(error: Malformed) -> str:
    """Return the place and what is wrong there; in a connection without the value, which may be a misplaced secret."""
    if ".connection" in error.path:
        return f"{error.path}: invalid value (not shown, may be a secret)"
    return f"{error.path}: {error}"[:LONGEST_WORDS]


def _shortened(value: object) -> str:
    return json.dumps(value)[:LONGEST_WORDS]


def _address(uri: str) -> str | None:
    try:
        return normalise(uri, Path("/"))[1]
    except ValueError:
        return None
