"""The gates of a document → the record that holds for an alias, and the files that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.core.errors import Problem
from reconciler.core.gates import DEFAULT_GUARD, ContentError, ContentFile, Gates
from reconciler.core.model import Source
from reconciler.core.text import quoted
from reconciler.gates import GATES, decode_gates
from reconciler.manifest.files import File
from reconciler.manifest.yaml_marks import Node


class Content(NamedTuple):
    """A file that was read: its absolute path, and the SHA-256 of its content."""

    path: str
    sha256: str


def gates_of(document: Mapping[str, Any], files: Mapping[str, Content]) -> Gates:
    """Return the record.

    `document`: an alias's own gates over those of its set. `files`: those that gates name, by the name as it is
    written.
    """
    gates = dict(document)
    for name, gate in GATES.items():
        written = gates.get(name, {})
        if not written.get("enabled", True):  # then its required settings may be missing
            gates.pop(name)
            gates |= {name: {"enabled": False}} if name == DEFAULT_GUARD else {}
        elif (file := gate.settings.file) and file.field in written:
            content = files[written[file.field]]
            gates[name] = {**written, file.field: content.path, file.sha256: content.sha256}
    return decode_gates(gates)


def gate_nodes(root: Node, name: str) -> Iterator[Node]:
    """Yield the places where an AliasSet has a gate of this name: in the set, in its aliases."""
    for owner in (root.find("spec"), *root.at(("spec", "aliases")).items):
        if owner and (gate := owner.find("gates", name)):
            yield gate


def named_hooks(root: Node) -> Iterator[Node]:
    """Yield the places where an AliasSet names a hook of its connection, in gates that are on."""
    for gate in GATES.values():
        for node in gate_nodes(root, gate.name) if gate.settings.hook_fields else ():
            if not _is_off(node):
                for field in gate.settings.hook_fields:
                    if found := node.find(field):
                        yield from found.items or [found]


def _is_off(node: Node) -> bool:
    enabled = node.find("enabled")
    return enabled is not None and enabled.value is False


class ContentFiles:
    """Reads the files that gates name, such as query vectors, each once however often it is named."""

    def __init__(self) -> None:
        self._known: dict[Path, Content | OSError | ContentError] = {}

    def of(self, root: Node, file: File, problems: list[Problem]) -> dict[str, Content]:
        """Return the files that an AliasSet names, by the name it gives them.

        Args:
            root: the AliasSet. Names at which there are problems are passed over.
            file: the manifest; a relative name starts in its folder.
            problems: gets a line for each file that cannot be used.
        """
        wrong = {problem.source for problem in problems}
        found: dict[str, Content] = {}
        for node, content in _named(root):
            if node.source in wrong:
                continue
            match self._read(file, node.text, content.read):
                case Content() as read:
                    found[node.text] = read
                case ContentError() as error:
                    shown = str(Path(file.name).parent / node.text) if file.path or file.tree else node.text
                    problems.append(Problem(str(error), Source(shown, error.line)))
                case error:
                    folder = "the folder of this file" if file.path or file.tree else "the working directory"
                    reason = f"cannot be read: {error.strerror}; a relative path starts in {folder}"
                    problems.append(Problem(f"the {content.noun} {quoted(node.text)} {reason}", node.source))
        return found

    def _read(self, file: File, name: str, read: Callable[[Path], str]) -> Content | OSError | ContentError:
        try:
            path = file.beside(name)
        except OSError as error:
            return error
        if path not in self._known:
            try:
                self._known[path] = Content(str(path), read(path))
            except (OSError, ContentError) as error:
                self._known[path] = error
        return self._known[path]


def _named(root: Node) -> Iterator[tuple[Node, ContentFile]]:
    """Yield the places where an AliasSet names a file, in gates that are on."""
    for gate in GATES.values():
        if file := gate.settings.file:
            for node in gate_nodes(root, gate.name):
                name = node.find(file.field)
                if name and isinstance(name.value, str) and not _is_off(node):
                    yield name, file
