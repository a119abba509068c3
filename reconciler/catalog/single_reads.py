"""The cheapest read of each kind, to see whether it is permitted."""

from __future__ import annotations

from reconciler.catalog.port import Catalog, DataRead
from reconciler.core.model import Field, PrimaryKey, Schema


def read_one(read: DataRead, catalog: Catalog, name: str, schema: Schema) -> None:
    """Make one read of a collection, by its name or an alias.

    Milvus checks the privilege before anything else (measured on 2.3.5), so any error other than `PermissionDenied`
    means that the read is permitted, or that the server did not answer.

    Args:
        read: what to read.
        catalog: the database.
        name: of a collection or an alias.
        schema: of the collection; without fields if it is not known, and then the server may refuse the request.
    """
    if read is DataRead.QUERY:
        primary = schema.primary or Field("id", "INT64")
        key: PrimaryKey = "" if primary.type == "VARCHAR" else 0
        catalog.rows(name, primary.name, (key,), (primary.name,), strong=False)
    else:
        dense = next((vector for vector in schema.vectors if vector.type == "FLOAT_VECTOR"), None)
        field = dense or Field("vector", "FLOAT_VECTOR", dimension=1)
        catalog.search(name, field.name, [(0.0,) * (field.dimension or 1)], limit=1, strong=False)
