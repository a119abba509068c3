"""The files of query vectors that canary gates name, each read once however often it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.errors import Problem
from reconciler.core.model import QueryFile, Source
from reconciler.core.text import quoted
from reconciler.gates.query_vectors import QueriesError, read_queries
from reconciler.manifest.files import File
from reconciler.manifest.gates import gate_nodes
from reconciler.manifest.yaml_marks import Node


def queries_nodes(root: Node) -> Iterator[Node]:
    """The places where an AliasSet names a file of queries, in gates that are on."""
    for gate in gate_nodes(root, "canary"):
        enabled, name = gate.find("enabled"), gate.find("queriesFile")
        if name and isinstance(name.value, str) and not (enabled and enabled.value is False):
            yield name


@dataclass(slots=True)
class QueriesFiles:
    """What reading them gave so far, by path."""

    _known: dict[Path, QueryFile | OSError | QueriesError] = field(default_factory=dict)

    def of(self, nodes: Iterator[Node], file: File, problems: list[Problem]) -> dict[str, QueryFile]:
        """The files that a manifest names, by the name it gives them.

        Args:
            nodes: where it names them.
            file: the manifest; a relative name starts in its folder.
            problems: gets a line for each that cannot be used.
        """
        found: dict[str, QueryFile] = {}
        for node in nodes:
            match self._read(file, node.text):
                case QueryFile() as queries:
                    found[node.text] = queries
                case QueriesError() as error:
                    shown = str(Path(file.name).parent / node.text) if file.path or file.tree else node.text
                    problems.append(Problem(str(error), Source(shown, error.line)))
                case error:
                    folder = "the folder of this file" if file.path or file.tree else "the working directory"
                    reason = f"cannot be read: {error.strerror}; a relative path starts in {folder}"
                    problems.append(Problem(f"the queries file {quoted(node.text)} {reason}", node.source))
        return found

    def _read(self, file: File, name: str) -> QueryFile | OSError | QueriesError:
        try:
            path = file.beside(name)
        except OSError as error:
            return error
        if path not in self._known:
            try:
                self._known[path] = QueryFile(str(path), read_queries(path)[1])
            except (OSError, QueriesError) as error:
                self._known[path] = error
        return self._known[path]
