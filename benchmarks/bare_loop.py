"""Alters aliases and does nothing else: no plan, no second look, no journal, no read-back.

`python bare_loop.py URI WANTED CONCURRENCY`, where WANTED is a JSON file with each alias and its new collection.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from pymilvus import AsyncMilvusClient


async def main(uri: str, desired: str, concurrency: str) -> None:
    client = AsyncMilvusClient(uri)
    slots = asyncio.Semaphore(int(concurrency))

    async def alter(alias: str, collection: str) -> None:
        async with slots:
            await client.alter_alias(collection, alias)

    moves = json.loads(Path(desired).read_text()).items()
    await asyncio.gather(*(alter(alias, collection) for alias, collection in moves))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
