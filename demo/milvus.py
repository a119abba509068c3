"""Do what others do to a Milvus server: embed products into collections, and move an alias without aliasctl.

python demo/milvus.py URI embed                  create and fill three collections
python demo/milvus.py URI move ALIAS COLLECTION  move an alias
"""

from __future__ import annotations

import sys
from importlib import import_module
from math import cos, pi, sin
from typing import Any

from reconciler.catalog.without_pandas import without_pandas

PRODUCTS = 200


def embedding(position: float) -> list[float]:
    """Return a point of a closed curve: products at neighboring positions are similar."""
    angle = 2 * pi * position / PRODUCTS
    return [wave(angle * frequency) for frequency in (1, 2) for wave in (cos, sin)]


COLLECTIONS = {
    "products_v1": embedding,
    "products_v2": lambda product: embedding(product + 0.6 * sin(3 * product)),  # nearly the same neighbors
    "products_v3": lambda product: embedding(product * 77 % PRODUCTS),  # rows paired with the vectors of others
}


def embed(client: Any) -> None:
    """Create the collections, indexed and loaded, each with all products."""
    for collection, model in COLLECTIONS.items():
        client.create_collection(collection, dimension=len(embedding(0)), metric_type="COSINE")
        client.insert(collection, [{"id": product, "vector": model(product)} for product in range(PRODUCTS)])


def move(client: Any, alias: str, collection: str) -> None:
    """Point an alias at another collection."""
    client.alter_alias(collection, alias)


if __name__ == "__main__":
    uri, action, *arguments = sys.argv[1:]
    # pandas is not needed, and takes as long to import as all else.
    pymilvus = without_pandas(lambda: import_module("pymilvus"))
    {"embed": embed, "move": move}[action](pymilvus.MilvusClient(uri), *arguments)
