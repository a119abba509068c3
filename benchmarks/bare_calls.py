"""Makes calls over gRPC and looks at no answer: what the calls themselves take.

`python bare_calls.py URI CALLS CONCURRENCY`, where CALLS is a JSON file: a list of pairs, the path of a method and its
request in hexadecimal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import grpc.aio


async def main(uri: str, calls: str, concurrency: str) -> None:
    slots = asyncio.Semaphore(int(concurrency))
    async with grpc.aio.insecure_channel(uri.removeprefix("http://")) as channel:

        async def call(path: str, request: str) -> None:
            async with slots:
                await channel.unary_unary(path)(bytes.fromhex(request))

        await asyncio.gather(*(call(path, request) for path, request in json.loads(Path(calls).read_text())))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
