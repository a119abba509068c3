"""Another collection for an alias, put into the text of a manifest where the old one stands.

Writing the text anew from its values would lose order, quoting or comments. So the reader says where a value begins,
what is there is replaced, and the new text is read again to see that nothing else means something else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import TypeAlias, cast

import yaml
from msgspec import Struct
from yaml.resolver import Resolver

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.manifest.files import as_yaml
from reconciler.manifest.load import alias_sets
from reconciler.manifest.rules import in_order
from reconciler.manifest.yaml_marks import Document, Node, Value, parse

Entry: TypeAlias = tuple[str, str]
"""An entry of an AliasSet: the set's key and the alias."""

_STRING = "tag:yaml.org,2002:str"
_RESOLVER = Resolver()
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # YAML's; each begins a new line of a Source


class _Splice(Struct, frozen=True):
    """Characters of a text, and what to put in their place."""

    start: int
    end: int
    text: str


class _Unfit(Exception):
    """The way in which something is written does not let it be replaced by itself."""


def edited(text: str, file: str, desired: Mapping[Entry, str]) -> str:
    """Return the text of a manifest, with other collections for some of its aliases.

    Args:
        text: the whole file, without a byte order mark.
        desired: the collection of each entry to change, a name that Milvus accepts; it replaces `state: Absent`.

    Raises:
        InvalidInput: for every entry that is not in the text, or is written so that it cannot be changed alone.
    """
    documents, broken = parse(as_yaml(text, file), file)
    if broken:
        raise InvalidInput(broken)
    entries = {(key, name): chain for key, root in alias_sets(documents) for name, chain in _entries(root)}
    places, uses = _Places(text, file), _uses(documents)
    problems: list[Problem] = []
    splices: list[_Splice] = []
    for (key, alias), collection in desired.items():
        if (key, alias) not in entries:
            problems.append(Problem(f'AliasSet "{key}" no longer lists alias "{alias}"; run it again', Source(file)))
            continue
        chain = entries[key, alias]
        field = "collection" if "collection" in chain[-1].fields else "state"
        try:
            splices += _splices(chain, field, collection, places, uses)
        except _Unfit as unfit:
            source = chain[-1].key_source(field) if field in chain[-1].fields else chain[-1].source
            message = f'the {field} of alias "{alias}" {unfit}'
            problems.append(Problem(message, source))
    if problems:
        raise InvalidInput(*in_order(problems))
    result = _spliced(text, splices)
    for entry, collection in desired.items():
        _assign(entries[entry][-1], collection)
    if _values(parse(as_yaml(result, file), file)) != _values((documents, None)):
        message = "these aliases cannot be changed here without changing something else; edit the file by hand"
        raise InvalidInput(Problem(message, Source(file)))
    return result


def difference(name: str, before: str, after: str) -> str:
    """Return a unified diff that `git apply` and `patch -p1` take, empty where nothing differs."""
    # Not `splitlines`: for a diff, only a line feed ends a line.
    old, new = ([*re.findall(r"[^\n]*\n|[^\n]+", text)] for text in (before, after))
    ends = ("", "") if name.startswith("/") else ("a/", "b/")
    lines = unified_diff(old, new, ends[0] + name, ends[1] + name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


class _Places:
    """Where the lines and columns of a text are in it."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self._lines = [0, *(found.end() for found in _LINE_BREAK.finditer(text))]

    def splice(self, source: Source, old: str, new: str) -> _Splice:
        """Return a new string for the old one at `source`, quoted like it. Raises `_Unfit` for any unusual form."""
        word = re.escape(old)
        scalar = re.compile(
            rf"""(?:[&!]\S*\s+)*(?:(?P<plain>{word})|'(?P<single>{word})'|"(?P<double>[^"\r\n]*)")""", re.ASCII
        )
        found = scalar.match(self.text, self._lines[source.line - 1] + source.column - 1)
        if not found or not found.lastgroup:
            raise _Unfit(f'is not on one line, plain or in quotes; write "{old}", then set it')
        bare = found.lastgroup == "plain" and not _is_string(new)
        return _Splice(*found.span(found.lastgroup), f'"{new}"' if bare else new)


def _is_string(name: str) -> bool:
    """Return whether a plain name is a string to all YAML readers; to some, y and n are booleans."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, name, (True, False))  # type: ignore[no-untyped-call]
    return tag == _STRING and name.lower() not in ("y", "n")


def _entries(root: Node) -> Iterator[tuple[str, Sequence[Node]]]:
    """Yield each alias of a set, with the nodes from the set down to its entry."""
    aliases = root.find("spec", "aliases")
    for entry in aliases.items if aliases else ():
        name = entry.find("name")
        if name and aliases:
            yield name.text, (root, root.fields["spec"], aliases, entry)


def _uses(documents: Iterable[Document]) -> Counter[int]:
    """Count how often each node stands in a list or mapping: more than once where a YAML alias names its anchor."""
    uses: Counter[int] = Counter()
    waiting = [document.root for document in documents]
    while waiting:
        node = waiting.pop()
        for child in (*node.items, *node.fields.values()):
            uses[id(child)] += 1
            if uses[id(child)] == 1:
                waiting.append(child)
    return uses


def _splices(
    chain: Sequence[Node], field: str, collection: str, places: _Places, uses: Counter[int]
) -> Iterator[_Splice]:
    """Yield what to replace for one entry: its collection, or the key and the value of its state."""
    entry = chain[-1]
    if field not in entry.fields:
        raise _Unfit('is not given; name one, or say "state: Absent"')
    value = entry.fields[field]
    for node in (*chain, value):
        if uses[id(node)] > 1:
            raise _Unfit(f"comes from the anchor at {node.source}, which has other users; write it out, then set it")
    if field == "state":
        yield places.splice(entry.key_source(field), field, "collection")
    yield places.splice(value.source, value.text, collection)


def _spliced(text: str, splices: Iterable[_Splice]) -> str:
    for splice in sorted(splices, key=lambda splice: splice.start, reverse=True):
        text = text[: splice.start] + splice.text + text[splice.end :]
    return text


def _assign(entry: Node, collection: str) -> None:
    fields = cast("dict[str, Value]", entry.value)
    if "collection" not in fields:
        del fields["state"]
    fields["collection"] = collection


def _values(parsed: tuple[list[Document], Problem | None]) -> object:
    documents, broken = parsed
    return [document.root.value for document in documents], broken
