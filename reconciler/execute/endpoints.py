"""The ways in which aliases are read to verify a move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from reconciler.catalog.port import Catalog


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A proxy of a Milvus, and the user as whom it is read.

    Args:
        address: of the proxy.
        catalog: reads there with the user's token; or in words why it cannot be read.
        connection: name of the MilvusConnection; "" for that of the set.
        timeout: seconds in which a cluster of its own follows; None for a proxy of the Milvus that is written.
    """

    address: str
    catalog: Catalog | str
    connection: str = ""
    timeout: float | None = None


@contextmanager
def pools(endpoints: Sequence[Endpoint], pool: Executor, concurrency: int) -> Iterator[list[Executor]]:
    """Yield a pool for each endpoint: reads that hang at one proxy must not use the threads of another.

    Args:
        endpoints: users of one proxy share a pool, because concurrency is per address.
        pool: that of the first endpoint.
        concurrency: maximum of calls in flight at one proxy.
    """
    with ExitStack() as stack:
        by_address = {endpoints[0].address: pool}
        for endpoint in endpoints[1:]:
            if endpoint.address not in by_address:
                by_address[endpoint.address] = stack.enter_context(ThreadPoolExecutor(concurrency, "read"))
        yield [by_address[endpoint.address] for endpoint in endpoints]
