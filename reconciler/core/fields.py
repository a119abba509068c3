"""Types of fields that several records share, each with its limits and with the words for a value outside of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from reconciler.core.model import NAME_PATTERN

MAX_ITEMS = 64
"""Items of a list in a manifest, where nothing else is said."""
MILVUS_NAME_EXPECTED = "expected letters, digits and underscores, not a digit first, at most 255"

MilvusName = Annotated[
    str,
    Meta(pattern=f"^{NAME_PATTERN}$", max_length=255, extra_json_schema={"errorMessage": MILVUS_NAME_EXPECTED}),
]
"""The name of an alias, a collection, a database or a field."""
FilePath = Annotated[
    str,
    Meta(
        pattern=r"^[^\u0000-\u001f\u007f]+$",
        max_length=4096,
        extra_json_schema={"errorMessage": "expected the path of a file"},
    ),
]
