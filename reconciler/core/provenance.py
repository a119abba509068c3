"""Where manifests come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from msgspec import Meta
from msgspec.structs import asdict, fields

from reconciler.core.record import Record


class Provenance(Record, frozen=True):
    """Where the manifests come from, if that is known."""

    commit: Annotated[str, Meta(description="The id of the commit.")] = ""
    author: Annotated[str, Meta(description="The author of the commit, as Name <address>.")] = ""
    ref: Annotated[str, Meta(description="The branch or tag.")] = ""
    repository: Annotated[str, Meta(description="Its address, without credentials.")] = ""
    signature: Annotated[str, Meta(description="Whether the signature of the commit is valid, and whose it is.")] = ""
    pipeline: Annotated[str, Meta(description="The page of the pipeline that ran this.")] = ""
    modified: Annotated[bool, Meta(description="Whether the files differ from the commit.")] = False

    def known(self) -> dict[str, str | bool]:
        """Return what is known, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of(cls, known: Mapping[str, object]) -> Self:
        """Return the provenance of values by name, ignoring values of another type."""
        names = [field.name for field in fields(cls) if field.name != "modified"]
        texts = {name: value for name in names if isinstance(value := known.get(name), str)}
        return cls(**texts, modified=known.get("modified") is True)
