"""Simulate what others do with a collection and its alias, on a Milvus Lite file: re-index, search, move by hand.

python demo/milvus.py FILE reindex COLLECTION     create and fill a collection
python demo/milvus.py FILE search ALIAS           search through an alias
python demo/milvus.py FILE move ALIAS COLLECTION  move an alias without aliasctl
"""

from __future__ import annotations

import logging
import sys

from pymilvus import MilvusClient

logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)
logging.getLogger("milvus_lite").setLevel(logging.CRITICAL + 1)

DIMENSION = 4


def reindex(client: MilvusClient, collection: str) -> None:
    client.create_collection(collection, dimension=DIMENSION)
    rows = [
        {"id": number, "vector": [number, 1.0, 0.0, 0.0], "origin": f"{collection}, row {number}"}
        for number in range(3)
    ]
    client.insert(collection, rows)
    print(f"{collection}: {len(rows)} rows, loaded")


def search(client: MilvusClient, alias: str) -> None:
    client.load_collection(alias)  # Milvus Lite forgets what was loaded when its process ends
    hits = client.search(alias, data=[[1.0, 1.0, 0.0, 0.0]], limit=1, output_fields=["origin"])
    print(f"a search through {alias} returns: {hits[0][0]['entity']['origin']}")


def move(client: MilvusClient, alias: str, collection: str) -> None:
    client.alter_alias(collection, alias)
    print(f"{alias} now points to {collection}")


if __name__ == "__main__":
    path, action, *arguments = sys.argv[1:]
    {"reindex": reindex, "search": search, "move": move}[action](MilvusClient(path), *arguments)
