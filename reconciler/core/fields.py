"""Types of fields that several records share, each with its limits and with the words for a value outside of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

BY_NAME: dict[str, object] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""Words for a list whose items are identified by their name."""
MAX_ITEMS = 64
"""Items of a list in a manifest, unless it sets another limit."""
NAME_PATTERN = "[A-Za-z_][A-Za-z0-9_]{0,254}"
"""What Milvus accepts as the whole name of an alias or a collection; anything else is code 1100 (measured on 2.3.5)."""
NAME_EXPECTED = "expected letters, digits and underscores, not a digit first, at most 255"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def about(description: str, **words: object) -> Meta:
    """Return the description of a field, and further words of its JSON Schema."""
    return Meta(description=description, extra_json_schema=words or None)


def text(pattern: str, max_length: int, expected: str) -> Meta:
    """Return the limits of a string.

    Args:
        pattern: matches it as a whole.
        max_length: in characters.
        expected: what messages and editors say of another value.
    """
    return Meta(pattern=f"^{pattern}$", max_length=max_length, extra_json_schema={"errorMessage": expected})


MilvusName = Annotated[str, text(NAME_PATTERN, 255, NAME_EXPECTED)]
"""The name of an alias, a collection, a database or a field."""
Glob = Annotated[
    str,
    text("[A-Za-z0-9_*?]{1,255}", 255, "expected letters, digits, underscores, * and ?, at most 255"),
    about("A pattern for whole alias names: * is any run of characters, ? is one."),
]
Globs = Annotated[tuple[Glob, ...], Meta(max_length=MAX_ITEMS)]


def for_operator(**words: object) -> Meta:
    """Return the words that replace others in the schema of the operator (see `json_schema.schema_of`)."""
    return Meta(extra={"operator": words})


NOT_FOR_OPERATOR = Meta(extra={"operator": None})
"""On a field that only the command line accepts."""
FilePath = Annotated[str, text(r"[^\u0000-\u001f\u007f]+", 4096, "expected the path of a file"), NOT_FOR_OPERATOR]
ObjectName = Annotated[
    str,
    text(
        rf"{_LABEL}(\.{_LABEL})*",
        253,
        'expected lower-case letters, digits, "-" and ".", a letter or digit at both ends, at most 253',
    ),
]
"""The name of a Kubernetes object (DNS-1123 subdomain)."""
NamespaceName = Annotated[
    str,
    text(_LABEL, 63, 'expected lower-case letters, digits and "-", a letter or digit at both ends, at most 63'),
]
"""The name of a Kubernetes namespace (DNS-1123 label)."""
