"""Files → records: the way through this package, on one page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, TextIO

from msgspec import Struct, field

from reconciler.core.errors import MAX_PROBLEMS, InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.core.text import alternatives, did_you_mean, quoted, unusual_character
from reconciler.files import lfs_pointer
from reconciler.manifest import documents, files, yaml_marks
from reconciler.manifest.files import File, Tree
from reconciler.manifest.gates import ContentFiles
from reconciler.manifest.kinds import API_VERSION, GROUP, KINDS, VERSION
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest, Manifests
from reconciler.manifest.rules import in_order
from reconciler.manifest.validation import problems_of
from reconciler.manifest.yaml_marks import Document, Node, described
from reconciler.version import __version__


def read(
    paths: Sequence[str | os.PathLike[str]],
    *,
    stdin: TextIO | BinaryIO | None = None,
    edited: Mapping[str, str] | None = None,
    exclude: Sequence[str] = (),
) -> Manifests:
    """Read manifests, offline.

    Args:
        paths: files, folders (all `*.yaml`, `*.yml` and `*.json` below them but hidden ones), and `-` for standard
            input.
        stdin: what `-` reads; None is the process's own standard input.
        edited: text that replaces the content of a file, by the file's name in problems.
        exclude: glob patterns of files and folders that are left out of the folders, relative to each.

    Raises:
        InvalidInput: everything that is wrong with any document, by file, line and column.
    """
    loaded = _Loaded(edited=edited or {})
    inputs, folders = files.found(paths, loaded.problems, loaded.warnings, exclude)
    files_with_documents = {file.name for file in inputs if _gather(file, stdin, loaded)}
    for folder in folders:
        if not any(file.name in files_with_documents for file in inputs if folder in file.folders):
            loaded.problems.append(Problem(f"no document of {API_VERSION} in this folder", Source(folder)))
    return loaded.manifests()


def read_tree(names: Iterable[str], tree: Tree) -> Manifests:
    """Read manifests that are in no folder, such as those of a commit.

    `tree`: what is in them; relative paths stay inside. Raises `InvalidInput`: everything that is wrong with any
    document, by file, line and column.
    """
    loaded = _Loaded()
    for name in sorted(names):
        _gather(File(name, None, named=False, tree=tree), None, loaded)
    return loaded.manifests()


class _Loaded(Struct):
    """What the files had so far. `places` says where each object (kind, namespace, name) was first."""

    problems: list[Problem] = []
    warnings: list[Problem] = []
    connections: dict[tuple[str, str], ConnectionManifest] = {}
    sets: list[AliasSetManifest] = []
    skipped: int = 0
    places: dict[tuple[str, str, str], Source] = {}
    contents: ContentFiles = field(default_factory=ContentFiles)
    edited: Mapping[str, str] = {}

    def manifests(self) -> Manifests:
        """Return all that was read. Raises `InvalidInput` if anything is wrong."""
        if self.problems:
            raise InvalidInput(*in_order(self.problems))
        return Manifests(self.connections, tuple(self.sets), self.skipped, tuple(self.warnings))


def _gather(file: File, stdin: TextIO | BinaryIO | None, loaded: _Loaded) -> bool:
    """Add what one file has; False if it is a readable file with nothing of ours in it.

    After more problems than are reported, a file is not read any more.
    """
    if len(loaded.problems) > MAX_PROBLEMS:
        return True
    try:
        edited = loaded.edited.get(file.name)
        text = files.text_of(file, stdin) if edited is None else files.as_yaml(edited, file.name)
    except ValueError as error:
        loaded.problems.append(Problem(str(error), Source(file.name)))
        return True
    if cause := _stand_in(text):
        loaded.problems.append(Problem(cause, Source(file.name, 1, 1)))
        return True
    parsed, broken = yaml_marks.parse(text, file.name)
    everything = [document for whole in parsed for document in _unwrapped(whole)]
    ours = [document for document in everything if _is_ours(document.root)]
    for document in ours:
        _add(document, file, loaded)
    if broken and not (file.named or ours or _mentions_us(text)):
        loaded.skipped += 1
        loaded.warnings.append(Problem(f"skipped this file: {broken.message}", broken.source))
        return False
    foreign = [document.root for document in everything if not _is_ours(document.root)]
    foreign = [root for root in foreign if root.value is not None]
    unusable = [problem for root in foreign for problem in _not_an_object(root)]
    loaded.problems += unusable
    loaded.skipped += len(foreign)
    loaded.warnings += [warning for root in foreign for warning in _suspicious(root)]
    if broken:
        loaded.problems.append(broken)
    elif file.named and not ours and not unusable:
        loaded.problems.append(Problem(_nothing_in(foreign), Source(file.name)))
    return bool(ours or unusable or broken)


def _unwrapped(document: Document) -> Iterator[Document]:
    """Yield the document, or the items of the List that `kubectl get` writes."""
    root = document.root
    if _text(root, "apiVersion") == "v1" and _text(root, "kind") == "List" and "items" in root.fields:
        yield from (Document(item, document.problems) for item in root.fields["items"].items)
    else:
        yield document


def alias_sets(documents: Iterable[Document]) -> Iterator[tuple[str, Node]]:
    """Yield the AliasSets among the documents of a file, each with its key: `namespace/name`, or `name` alone."""
    for root in (item.root for document in documents for item in _unwrapped(document)):
        if _is_ours(root) and _text(root, "kind") == "AliasSet":
            metadata = root.at(("metadata",))
            namespace, name = _text(metadata, "namespace"), _text(metadata, "name")
            yield f"{namespace}/{name}" if namespace else name, root


def _is_ours(root: Node) -> bool:
    """Return whether a document is in our group; one without any `apiVersion` is, if its kind is ours."""
    if "apiVersion" not in root.fields:
        return _text(root, "kind") in KINDS and "formatVersion" not in root.fields
    return _text(root, "apiVersion").partition("/")[0] == GROUP


def _add(document: Document, file: File, loaded: _Loaded) -> None:
    """Add a document of ours, or all that is wrong with it."""
    root = document.root
    problems = list(_wrong_identity(root)) or problems_of(_text(root, "kind"), document)
    kind, metadata = _text(root, "kind"), root.at(("metadata",))
    identity = (kind, _text(metadata, "namespace"), _text(metadata, "name"))
    place = metadata.at(("name",)).source
    if identity[2] and loaded.places.setdefault(identity, place) is not place:
        problems.append(
            Problem(f"{kind} {quoted(identity[2])} is given twice; first at {loaded.places[identity]}", place)
        )
    contents = loaded.contents.of(root, file, problems)
    if problems:
        loaded.problems += problems
        return
    try:
        if kind == "AliasSet":
            loaded.sets.append(documents.alias_set(root, contents))
        else:
            loaded.connections[identity[1:]] = documents.connection(root, file.base)
    except InvalidInput as error:
        loaded.problems += error.problems


def _wrong_identity(root: Node) -> Iterator[Problem]:
    """Yield the problems because of which a document has no schema."""
    version, kind = _text(root, "apiVersion").partition("/")[2], _text(root, "kind")
    if "apiVersion" not in root.fields:
        yield Problem(f'"apiVersion" is missing; it is {API_VERSION}', root.source)
    elif version != VERSION:
        known = f"aliasctl {__version__} (it knows: {VERSION})"
        yield Problem(f"version {quoted(version)} of {GROUP} is not known to {known}", root.fields["apiVersion"].source)
    if "kind" not in root.fields:
        yield Problem(f'"kind" is missing; it is {alternatives(KINDS)}', root.source)
    elif kind not in KINDS:
        node = root.fields["kind"]
        hint = did_you_mean(kind, KINDS)
        yield Problem(f"expected {alternatives(KINDS)}, found {described(node)}{hint}", node.source)


def _stand_in(text: str) -> str:
    """Return what a file is that stands in for a manifest, and what to do; empty for others."""
    if pointer := lfs_pointer(text):
        return f"this is {pointer}"
    if text.startswith("$ANSIBLE_VAULT;"):
        return "this file is encrypted with Ansible Vault; decrypt it first"
    is_status = text[:3].isdigit() and text[3:5] == ": "  # "404: Not Found"
    if is_status or text[:100].lstrip().lower().startswith(("<!doctype", "<html")):
        return "this is the error page of a download, not a manifest"
    return ""


def _mentions_us(text: str) -> bool:
    """Return whether a file that cannot be read may have been meant as a manifest, by the words in it."""
    return any(word in text for word in (GROUP, *KINDS))


def _not_an_object(root: Node) -> Iterator[Problem]:
    """Yield the problem of a document that is no Kubernetes object of any kind."""
    if isinstance(root.value, str):
        yield Problem(f"expected an object with apiVersion and kind, found {described(root)}", root.source)
    elif any("apiVersion" in item.fields or _text(item, "kind") in KINDS for item in root.items):
        message = 'expected an object, found a list of objects; separate them with "---", or use kind: List'
        yield Problem(message, root.source)


def _suspicious(root: Node) -> Iterator[Problem]:
    """Yield a warning for a document that is skipped and has a kind of ours."""
    if (kind := _text(root, "kind")) in KINDS and "formatVersion" not in root.fields:
        version = _text(root, "apiVersion")
        group = f"{quoted(version)}{unusual_character(version)}"
        yield Problem(f"skipped this {kind}: its apiVersion is {group}, not {API_VERSION}", root.source)


def _nothing_in(foreign: Sequence[Node]) -> str:
    """Say why a named file has no manifest."""
    written = next((_text(root, "kind") for root in foreign if "formatVersion" in root.fields), "")
    if written == "Plan":
        return 'this is a saved plan, not a manifest; run "aliasctl apply PLANFILE" or "aliasctl show PLANFILE"'
    if written:
        return f"this is a {written} that aliasctl wrote, not a manifest"
    return f"no document of {API_VERSION} in this file"


def _text(node: Node, name: str) -> str:
    """Return a field's text; empty where there is no such field, or no string in it."""
    found = node.fields.get(name)
    return found.value if found and isinstance(found.value, str) else ""
