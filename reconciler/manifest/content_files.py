"""The files whose content counts, such as query vectors, each read once however often a gate names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from reconciler.core.errors import Problem
from reconciler.core.gates import ContentError, ContentFile
from reconciler.core.model import Source
from reconciler.core.text import quoted
from reconciler.gates import GATES
from reconciler.manifest.files import File
from reconciler.manifest.gates import Content, gate_nodes
from reconciler.manifest.yaml_marks import Node


class ContentFiles:
    """Reads the files that gates name, and remembers them by path."""

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
                enabled, name = node.find("enabled"), node.find(file.field)
                if name and isinstance(name.value, str) and not (enabled and enabled.value is False):
                    yield name, file
