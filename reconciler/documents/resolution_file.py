"""The file that says which collection each alias resolves to, for programs that must change together with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from reconciler.core.model import Target
from reconciler.core.record import ALWAYS, INLINE, Record, Time
from reconciler.documents.codec import Document
from reconciler.documents.kinds import DocumentKind
from reconciler.documents.saved_file import SavedForm, load, load_content


class ResolvedAlias(Record, frozen=True):
    """An alias and its collection."""

    alias: str
    target: Annotated[Target, INLINE]
    collection: str
    properties: Annotated[
        Mapping[str, str],
        Meta(description="The collection's properties that the gate contract names, such as its embedding model."),
        ALWAYS,
    ] = {}
    since: Annotated[Time | None, Meta(description="When a run put it there, if that is known.")] = None
    run: Annotated[str, Meta(description="That run, if it is known.")] = ""

    @property
    def key(self) -> tuple[Target, str]:
        return self.target, self.alias


class ResolutionDocument(Record, frozen=True):
    """Which collection each alias resolves to, and how its vectors are made."""

    aliases: tuple[ResolvedAlias, ...]


RESOLUTION = DocumentKind("Resolution", ResolutionDocument)
FORM = SavedForm(
    RESOLUTION, "published resolution", hint="name another file, or remove it", other_version="remove the file"
)


def resolution_document(aliases: Iterable[ResolvedAlias]) -> Document:
    """Return the document, its aliases sorted."""
    return RESOLUTION.document(ResolutionDocument(tuple(sorted(aliases, key=lambda each: each.key))))


def load_resolution(path: Path) -> tuple[ResolvedAlias, ...]:
    """Return the aliases of a published file; none if it does not exist or is empty.

    Raises `InvalidInput`: it cannot be read, or something else is in it.
    """
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return ()
    return load(path, FORM, ResolutionDocument)[1].aliases


def resolution_of(content: bytes, name: str) -> tuple[ResolvedAlias, ...]:
    """Return the aliases of published content. Raises `InvalidInput`: something else is in it.

    `name`: of its place, for the message.
    """
    return load_content(content, Path(name), FORM, ResolutionDocument)[1].aliases
