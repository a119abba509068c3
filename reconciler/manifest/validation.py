"""Everything that is wrong with one document, by its schema and by the rules that hold inside one document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from reconciler.errors import Problem
from reconciler.manifest.address import normalise
from reconciler.manifest.durations import parse_duration
from reconciler.manifest.messages import explained
from reconciler.manifest.rules import wrong_among_aliases
from reconciler.manifest.schema import KINDS
from reconciler.manifest.shape import Schema
from reconciler.manifest.yaml_marks import Document, Node
from reconciler.model import Alias

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_FORMATS = FormatChecker(formats=())


def problems_of(kind: str, document: Document) -> list[Problem]:
    """All that is wrong with a document of ours; nothing, if a record can be made of it.

    Args:
        kind: its kind, one of ours.
        document: with what the YAML reader found.
    """
    root = document.root
    told = {problem.source for problem in document.problems}
    found = explained(validator(kind).iter_errors(root.value), KINDS[kind], root)
    if kind == "AliasSet":
        found += wrong_among_aliases(list(_legible_aliases(root)))
    # Where the reader complained, the value is only a guess, and any other complaint about it an echo.
    return document.problems + [problem for problem in found if problem.source not in told]


def _legible_aliases(root: Node) -> Iterator[Alias]:
    """What can be made out of the aliases, however wrong the rest: so that duplicates are told with everything else."""
    for item in root.at(("spec", "aliases")).items:
        name, collection = item.fields.get("name"), item.fields.get("collection")
        if name and isinstance(name.value, str):
            target = collection.value if collection and isinstance(collection.value, str) else None
            yield Alias(name.value, target, source=name.source)


@cache
def validator(kind: str) -> Validator:
    strict = cast("type[Validator]", extend(Draft202012Validator, {"pattern": _whole_pattern}))  # type: ignore[no-untyped-call]
    return strict(KINDS[kind], format_checker=_FORMATS)


def _whole_pattern(_: Validator, pattern: str, value: object, __: Schema) -> Iterator[ValidationError]:
    # jsonschema searches, and Python's `$` also matches before a line break at the end.
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield ValidationError(f"does not match {pattern}")


@_FORMATS.checks("milvus-uri", raises=ValueError)
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(normalise(value, Path()))


@_FORMATS.checks("go-duration", raises=ValueError)
def _is_duration(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_duration(value))
