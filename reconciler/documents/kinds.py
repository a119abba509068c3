"""The kinds of published documents, with their format versions and JSON Schemas.

A format version rises when a reader of the old form would misunderstand the new one; new optional fields do not raise
it.
"""

from __future__ import annotations

from msgspec import Struct

from reconciler.documents.codec import Document, encode, schemas


class DocumentKind(Struct, frozen=True):
    """A kind of published document. The first sentence of its record's docstring is the title of the schema."""

    name: str
    record: type[Struct]
    version: int = 1

    def document(self, record: Struct) -> Document:
        return {"kind": self.name, "formatVersion": self.version, **encode(record)}

    def schema(self) -> Document:
        (body,), definitions = schemas([self.record])
        head = published(self.name, body["description"])
        return head | with_head(body, kind=self.name, formatVersion=self.version) | {"$defs": definitions}


def published(kind: str, title: str) -> Document:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://aliasctl.dev/schemas/{kind.lower()}.schema.json",
        "title": title,
    }


def with_head(body: Document, **constants: object) -> Document:
    """Return the schema of an object with further fields that are always the same."""
    head = {name: {"const": value} for name, value in constants.items()}
    return {
        "type": "object",
        "properties": {**head, **body["properties"]},
        "required": [*head, *body["required"]],
        "additionalProperties": False,
    }
