"""A Milvus in memory that fulfils the same contract as real ones, for tests of your pipelines and of aliasctl.

    server = MemoryServer(Flavour.MILVUS_2_3)
    server.create_collection("products_v1", rows=[{"id": 1, "vector": [0.0, 0.0, 0.0, 1.0], "title": "tea"}])
    catalog = server.connect(connection, "default")

Servers of different versions and products differ in a few cases; `Flavour` selects one. The flavours were verified
against real servers by `tests/catalog/test_contract.py`, except MILVUS_2_6, which was read in Milvus's sources.
Collections are looser than real ones: they can be loaded without an index, and rows are not checked against the schema.
"""

from __future__ import annotations

from reconciler.catalog.memory.catalog import MemoryCatalog
from reconciler.catalog.memory.data import DEFAULT_SCHEMA, flat_indexes
from reconciler.catalog.memory.server import MemoryServer
from reconciler.catalog.memory.store import Flavour

__all__ = ["DEFAULT_SCHEMA", "Flavour", "MemoryCatalog", "MemoryServer", "flat_indexes"]
