"""Records, whose fields declare name, type, default, JSON name, description and constraints in one place.

    class Reached(Record, frozen=True):
        endpoint: Annotated[str, Meta(description="The address of a proxy.")]
        reads: Annotated[Count, Meta(description="Reads through the alias."), ALWAYS] = 0

`reconciler.documents.codec` derives the JSON document, its strict decoding and its JSON Schema from this. A document
has the fields of its record under their names in camel case, and leaves out those that have their default. Where the
two differ otherwise, a mark on the field says how.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct


class Mark(Enum):
    """The form of a field in the document, where that does not follow from its type and default."""

    ALWAYS = "written and required, although it has a default"
    INLINE = "a record whose fields stand beside the others, not in an object of their own"
    INTERNAL = "not part of the document"
    NOT_READ = "written, but not read back: the record has its default then"
    TIME = "an RFC 3339 time with its offset from UTC"


ALWAYS, INLINE, INTERNAL, NOT_READ = Mark.ALWAYS, Mark.INLINE, Mark.INTERNAL, Mark.NOT_READ

Count = Annotated[int, Meta(ge=0)]
Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
Time = Annotated[str, Mark.TIME]


class Record(Struct, frozen=True, rename="camel"):
    """Base of the records that are, or are part of, a JSON document. `derived` names properties that it has too."""

    derived: ClassVar[tuple[str, ...]] = ()
