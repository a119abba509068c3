"""Strict YAML: text → values that know their line and column.

YAML lets one file mean different things to different readers. What this module accepts means the same to all of them:
strings, numbers, booleans, null, lists and mappings with string keys, each key once. JSON is read by the same code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from reconciler.errors import Problem
from reconciler.manifest.wording import quoted
from reconciler.model import Source

MAX_DEPTH = 64
MAX_EXPANDED_VALUES = 100_000

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_TAG = "tag:yaml.org,2002:"
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?")
_QUOTE = {"timestamp": "a date", "merge": "a merge key", "value": "a default value"}


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A value with the place it was written at.

    `text` is a scalar as it was written, `keys` the places of a mapping's keys. `size` counts the value and all values
    in it, those that an anchor stands for each time.
    """

    value: Value
    source: Source
    text: str = ""
    size: int = 1
    items: list[Node] = field(default_factory=list)
    fields: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Source] = field(default_factory=dict)

    def at(self, path: Sequence[str | int]) -> Node:
        """The node at a JSON path, or the deepest one on the way there that exists."""
        node = self
        for step in path:
            below = node.items[step] if isinstance(step, int) else node.fields.get(step)
            if below is None:
                break
            node = below
        return node

    def find(self, *names: str) -> Node | None:
        """The node that fields of these names lead to; None where there is none."""
        node: Node | None = self
        for name in names:
            node = node.fields.get(name) if node else None
        return node


@dataclass(slots=True, eq=False, repr=False)
class Document:
    """One YAML document, and what is wrong with it so far; `root` has all of it that could be read."""

    root: Node
    problems: list[Problem]


def parse(text: str, file: str) -> tuple[list[Document], Problem | None]:
    """All documents of a text, up to the place where it stops being YAML.

    Args:
        text: the whole file.
        file: its name, for the places.

    Returns:
        The documents that are complete, and why reading ended before the end, if it did.
    """
    if found := _NOT_TEXT.search(text):
        line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
        message = f"the character U+{ord(found[0]):04X} is not text; is this a binary file?"
        return [], Problem(message, Source(file, line, column))
    reader = _Reader(text, file)
    try:
        reader.read()
    except _Unreadable as stop:
        return reader.documents, stop.problem
    return reader.documents, None


class _Unreadable(Exception):
    """The rest of this file cannot be read."""

    def __init__(self, message: str, source: Source) -> None:
        self.problem = Problem(message, source)
        super().__init__(message)


class _Reader:
    """Builds values from the parser's events rather than from its nodes: limits are met before memory is spent."""

    def __init__(self, text: str, file: str) -> None:
        self.documents: list[Document] = []
        self._loader = _LOADER(text)
        self._file = file
        self._anchors: dict[str, Node] = {}
        self._problems: list[Problem] = []
        self._expanded = 0

    def read(self) -> None:
        """Add the documents up to the end, or up to what raises `_Unreadable`."""
        try:
            while self._loader.check_event():
                if isinstance(self._next(), DocumentStartEvent):
                    self._anchors, self._problems = {}, []
                    self.documents.append(Document(self._node(self._next(), 1), self._problems))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Source(self._file, mark.line + 1, mark.column + 1) if mark else Source(self._file)
            reason = " ".join(part for part in (error.problem, error.context) if part)
            raise _Unreadable(f"this is not YAML: {reason}", place) from error
        except yaml.YAMLError as error:
            raise _Unreadable(f"this is not YAML: {error}", Source(self._file)) from error

    def _next(self) -> Event:
        return cast("Event", self._loader.get_event())

    def _place(self, event: Event) -> Source:
        mark = event.start_mark
        return Source(self._file, mark.line + 1, mark.column + 1) if mark else Source(self._file)

    def _problem(self, message: str, source: Source) -> None:
        self._problems.append(Problem(message, source))

    def _node(self, event: Event, depth: int) -> Node:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if isinstance(event, ScalarEvent):
            node = self._scalar(event)
        elif depth > MAX_DEPTH:
            raise _Unreadable(f"nested more than {MAX_DEPTH} levels deep", self._place(event))
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event, depth)
        else:
            node = self._sequence(event, depth)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _alias(self, event: AliasEvent) -> Node:
        place = self._place(event)
        target = self._anchors.get(event.anchor or "")
        if target is None:
            # Its name is not told: a password may well begin with a star.
            self._problem(
                "no anchor of this name ends before here; quote it, if it is a text that begins with *", place
            )
            return Node(None, place)
        self._expanded += target.size
        if self._expanded > MAX_EXPANDED_VALUES:
            raise _Unreadable(f"the anchors of this file stand for more than {MAX_EXPANDED_VALUES:,} values", place)
        return target

    def _sequence(self, event: Event, depth: int) -> Node:
        self._check_tag(event, "seq")
        node = Node(None, self._place(event))
        while not isinstance(event := self._next(), CollectionEndEvent):
            node.items.append(self._node(event, depth + 1))
        node.value = [item.value for item in node.items]
        node.size += sum(item.size for item in node.items)
        return node

    def _mapping(self, event: Event, depth: int) -> Node:
        self._check_tag(event, "map")
        node = Node(None, self._place(event))
        while not isinstance(event := self._next(), CollectionEndEvent):
            place, key = self._place(event), self._key(event, depth + 1)
            child = self._node(self._next(), depth + 1)
            if key is None:
                continue
            if key in node.fields:
                self._problem(f'"{key}" is given twice; first on line {node.keys[key].line}', place)
                continue
            node.keys[key], node.fields[key] = place, child
        node.value = {key: child.value for key, child in node.fields.items()}
        node.size += sum(child.size for child in node.fields.values())
        return node

    def _key(self, event: Event, depth: int) -> str | None:
        """A mapping's key; None, and a problem, where it is not a string."""
        place = self._place(event)
        if isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]:
            self._problem('"<<" merge keys are not supported; write the fields out', place)
            return None
        node = self._node(event, depth)
        match node.value:
            case str():
                return node.value
            case bool():
                self._problem(f"key is the boolean {str(node.value).lower()}; quote it", place)
            case int() | float():
                self._problem(f"key is the number {node.text}; quote it", place)
            case None:
                self._problem("key is empty", place)
            case _:
                self._problem("key is not a string", place)
        return None

    def _scalar(self, event: ScalarEvent) -> Node:
        place, text = self._place(event), event.value
        kind = "str"
        if event.tag is not None:
            kind = event.tag.removeprefix(_TAG)
        elif event.implicit[0]:
            kind = "float" if _NUMBER.fullmatch(text) else self._plain_kind(text)
        # A scalar that is refused goes on as a string: one problem a place is enough.
        value: Value = text
        if kind == "null":
            value = None
        elif kind == "bool":
            value = text.lower() in ("yes", "true", "on")
        elif kind in ("int", "float"):
            value = self._number(text, place)
        elif kind in _QUOTE:
            self._problem(f"to some YAML readers this is {_QUOTE[kind]}, not a string; quote it", place)
        elif kind != "str":
            self._problem("tags are not supported; write a plain string and quote it", place)
        return Node(value, place, text)

    def _plain_kind(self, text: str) -> str:
        tag: str = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return tag.removeprefix(_TAG)

    def _number(self, text: str, place: Source) -> int | float | str:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        self._problem("YAML readers do not agree on this number; write plain decimal digits, or quote it", place)
        return text

    def _check_tag(self, event: Event, kind: str) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, _TAG + kind):
            self._problem("tags are not supported; write a plain list or mapping", self._place(event))


def described(node: Node) -> str:
    """What a node holds, in words and at most some 60 characters: `the number 7`, `the boolean "no"`, `a list`."""
    match node.value:
        case None:
            return "nothing"
        case bool():
            return f'the boolean "{node.text}"'
        case int() | float():
            return f"the number {node.text}"
        case str():
            return f"the string {quoted(node.value)}"
        case list():
            return "a list"
        case _:
            return "a mapping"
