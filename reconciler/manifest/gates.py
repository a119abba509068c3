"""The gates of a document → the record that holds for an alias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.core.gates import DEFAULT_GUARD, Gates
from reconciler.gates import GATES, decode_gates
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
