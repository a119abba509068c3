"""Strict YAML: text → values that know their line and column.

YAML lets one file mean different things to different readers. What this module accepts means the same to all of them:
strings, numbers, booleans, null, lists and mappings with string keys, each key once. JSON is read by the same code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, cast

import yaml
from msgspec import Struct
from yaml.events import AliasEvent, CollectionEndEvent, DocumentStartEvent, Event, MappingStartEvent, ScalarEvent

from reconciler.core.errors import Problem
from reconciler.core.model import Source
from reconciler.core.text import code_point, quoted, unusual_character

MAX_DEPTH = 64
MAX_EXPANDED_VALUES = 100_000

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_TAG = "tag:yaml.org,2002:"
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_BYTE_ORDER_MARK = "\ufeff"
_CONFLICT = "(?m)^(<{7}|>{7})( |$)"
_INVISIBLE = "[\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000]"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_RESOLVED = frozenset(_LOADER.yaml_implicit_resolvers)
"""What a plain scalar begins with that may be something else than a string."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?")
_QUOTE = {"timestamp": "a date", "merge": "a merge key", "value": "a default value"}


class Mark(Protocol):
    """Where the parser was; lines and columns count from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Node:
    """A value with the place it was written at.

    `text` is a scalar as it was written. `place` and `marks`, the places of a mapping's keys, are as the parser has
    them; `source` and `key_source` make something of them where it is needed, which for most values is never.
    """

    __slots__ = ("_size", "fields", "file", "items", "marks", "place", "text", "value")

    def __init__(
        self,
        value: Value,
        file: str,
        place: Mark | None = None,
        text: str = "",
        *,
        items: Sequence[Node] = (),
        fields: Mapping[str, Node] = _NOTHING,
        marks: Mapping[str, Mark | None] = _NOTHING,
    ) -> None:
        self.value = value
        self.file = file
        self.place = place
        self.text = text
        self.items = items
        self.fields = fields
        self.marks = marks
        self._size = 0

    @property
    def source(self) -> Source:
        return _source(self.file, self.place)

    def key_source(self, name: str) -> Source:
        """Return the place of the key of a field."""
        return _source(self.file, self.marks[name])

    @property
    def size(self) -> int:
        """The number of values here: this one and all in it, those that an anchor stands for each time."""
        if not self._size:
            self._size = 1 + sum(node.size for node in (*self.items, *self.fields.values()))
        return self._size

    def at(self, path: Sequence[str | int]) -> Node:
        """Return the node at a JSON path, or the deepest one on its way that exists."""
        node = self
        for step in path:
            below = node.items[step] if isinstance(step, int) else node.fields.get(step)
            if below is None:
                break
            node = below
        return node

    def find(self, *names: str) -> Node | None:
        """Return the node that fields of these names lead to; None where there is none."""
        node: Node | None = self
        for name in names:
            node = node.fields.get(name) if node else None
        return node


def _source(file: str, mark: Mark | None) -> Source:
    return Source(file, mark.line + 1, mark.column + 1) if mark else Source(file)


class Document(Struct, eq=False):
    """One YAML document, and what is wrong with it so far; `root` has all of it that could be read."""

    root: Node
    problems: list[Problem]


def parse(text: str, file: str) -> tuple[list[Document], Problem | None]:
    """Return all documents of a text that are complete, and why reading ended before the end, if it did."""
    if found := _NOT_TEXT.search(text):
        if found[0] == _BYTE_ORDER_MARK:
            message = "a byte order mark (U+FEFF) inside the file; remove it"
        else:
            message = f"the character U+{ord(found[0]):04X} is not text; is this a binary file?"
        return [], Problem(message, _place(text, found.start(), file))
    reader = _Reader(text, file)
    try:
        reader.read()
    except _Unreadable as stop:
        return reader.documents, _cause(text, file) or stop.problem
    return reader.documents, None


def _cause(text: str, file: str) -> Problem | None:
    """Return what makes a text unreadable that the parser's own message does not name."""
    if found := re.search(_CONFLICT, text):
        return Problem("a merge conflict that is not resolved; choose one side", _place(text, found.start(), file))
    if found := re.search(_INVISIBLE, text):
        message = f"this is not YAML, probably because of the invisible character {code_point(found[0])}; remove it"
        return Problem(message, _place(text, found.start(), file))
    return None


def _place(text: str, position: int, file: str) -> Source:
    return Source(file, text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


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
        self._next = cast("Callable[[], Event]", self._loader.get_event)
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

    def _problem(self, message: str, event: Event) -> None:
        self._problems.append(Problem(message, _source(self._file, event.start_mark)))

    def _node(self, event: Event, depth: int) -> Node:
        if isinstance(event, ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, AliasEvent):
            return self._alias(event)
        elif depth > MAX_DEPTH:
            raise _Unreadable(f"nested more than {MAX_DEPTH} levels deep", _source(self._file, event.start_mark))
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event, depth)
        else:
            node = self._sequence(event, depth)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _alias(self, event: AliasEvent) -> Node:
        target = self._anchors.get(event.anchor or "")
        if target is None:
            # Its name is not repeated: a password may begin with a star.
            self._problem(
                "no anchor of this name ends before here; quote it, if it is a text that begins with *", event
            )
            return Node(None, self._file, event.start_mark)
        self._expanded += target.size
        if self._expanded > MAX_EXPANDED_VALUES:
            message = f"the anchors of this file stand for more than {MAX_EXPANDED_VALUES:,} values"
            raise _Unreadable(message, _source(self._file, event.start_mark))
        return target

    def _sequence(self, start: Event, depth: int) -> Node:
        self._check_tag(start, "seq")
        items = []
        while not isinstance(event := self._next(), CollectionEndEvent):
            items.append(self._node(event, depth + 1))
        return Node([item.value for item in items], self._file, start.start_mark, items=items)

    def _mapping(self, start: Event, depth: int) -> Node:
        self._check_tag(start, "map")
        value: dict[str, Value] = {}
        fields: dict[str, Node] = {}
        marks: dict[str, Mark | None] = {}
        while not isinstance(event := self._next(), CollectionEndEvent):
            key = self._key(event, depth + 1)
            child = self._node(self._next(), depth + 1)
            if key is None:
                continue
            if key in fields:
                first = _source(self._file, marks[key])
                self._problem(f'"{key}" is given twice; first on line {first.line}', event)
                continue
            marks[key], fields[key], value[key] = event.start_mark, child, child.value
        return Node(value, self._file, start.start_mark, fields=fields, marks=marks)

    def _key(self, event: Event, depth: int) -> str | None:
        """Return a mapping's key; None, and a problem, where it is not a string."""
        if isinstance(event, ScalarEvent):
            if event.tag is None and event.anchor is None and _is_plainly_text(event):
                return event.value
            if event.value == "<<" and event.implicit[0]:
                self._problem('"<<" merge keys are not supported; write the fields out', event)
                return None
        node = self._node(event, depth)
        match node.value:
            case str():
                return node.value
            case bool():
                self._problem(f"key is the boolean {str(node.value).lower()}; quote it", event)
            case int() | float():
                self._problem(f"key is the number {node.text}; quote it", event)
            case None:
                self._problem("key is empty", event)
            case _:
                self._problem("key is not a string", event)
        return None

    def _scalar(self, event: ScalarEvent) -> Node:
        text = event.value
        if event.tag is not None:
            kind = event.tag.removeprefix(_TAG)
        elif _is_plainly_text(event):
            return Node(text, self._file, event.start_mark, text)
        else:
            kind = "float" if _NUMBER.fullmatch(text) else _plain_kind(text)
        # A scalar that is refused goes on as a string: one problem a place is enough.
        value: Value = text
        if kind == "null":
            value = None
        elif kind == "bool":
            value = text.lower() in ("yes", "true", "on")
        elif kind in ("int", "float"):
            value = self._number(text, event)
        elif kind in _QUOTE:
            self._problem(f"to some YAML readers this is {_QUOTE[kind]}, not a string; quote it", event)
        elif kind != "str":
            self._problem("tags are not supported; write a plain string and quote it", event)
        return Node(value, self._file, event.start_mark, text)

    def _number(self, text: str, event: Event) -> int | float | str:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        self._problem("YAML readers do not agree on this number; write plain decimal digits, or quote it", event)
        return text

    def _check_tag(self, event: Event, kind: str) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, _TAG + kind):
            self._problem("tags are not supported; write a plain list or mapping", event)


def _is_plainly_text(event: ScalarEvent) -> bool:
    """Return whether a scalar without a tag is a string by its quotes or its first letter, as most are."""
    return not event.implicit[0] or event.value[:1] not in _RESOLVED


@lru_cache(maxsize=1024)  # a manifest has few field names, many times
def _plain_kind(text: str) -> str:
    """Return the type of a plain scalar for a reader of YAML 1.1."""
    kinds = _LOADER.yaml_implicit_resolvers.get(text[:1], ())
    return next((tag.removeprefix(_TAG) for tag, pattern in kinds if pattern.match(text)), "str")


def described(node: Node) -> str:
    """Describe what a node holds, in at most some 60 characters: `the number 7`, `the boolean "no"`, `a list`."""
    match node.value:
        case None:
            return "nothing"
        case bool():
            return f'the boolean "{node.text}"'
        case int() | float():
            return f"the number {node.text}"
        case str():
            return f"the string {quoted(node.value)}{unusual_character(node.value)}"
        case list():
            return "a list"
        case _:
            return "a mapping"
