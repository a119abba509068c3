"""A relay that has its way with single alias writes: refuses them, cuts them off, or kills who sent them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from subprocess import Popen
from typing import Any

import grpc
from pymilvus.grpc_gen import milvus_pb2

from tests.cli.shop import Relay

WRITES = {
    "CreateAlias": milvus_pb2.CreateAliasRequest,
    "AlterAlias": milvus_pb2.AlterAliasRequest,
    "DropAlias": milvus_pb2.DropAliasRequest,
}


@dataclass(frozen=True)
class Write:
    """One alias write that has arrived. `pass_on` sends it to the server and gives its reply."""

    alias: str
    pass_on: Callable[[], Any]
    context: grpc.ServicerContext


Fault = Callable[[Write], Any]
"""What happens to a write in place of being passed on; gives the reply."""


class Saboteur(Relay):
    """A relay where `faults[n]` befalls the n-th alias write.

    `arrived` are the aliases of all writes so far. `client` is the process that a fault may kill.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.faults: dict[int, Fault] = {}
        self.arrived: list[str] = []
        self.client: Popen[str] | None = None
        self._numbers = count(1)
        self._unreadable: set[str] = set()

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> Any:
        name = method.rpartition("/")[2]
        if name == "DescribeCollection" and self._unreadable:
            self._lose_once(milvus_pb2.DescribeCollectionRequest.FromString(request).collection_name, context)
        if name not in WRITES:
            return super().answer(method, request, context)
        alias = WRITES[name].FromString(request).alias
        number = next(self._numbers)
        self.arrived.append(alias)
        write = Write(alias, lambda: super(Saboteur, self).answer(method, request, context), context)
        fault = self.faults.get(number)
        return fault(write) if fault else write.pass_on()

    def refuse(self, write: Write) -> None:
        """The server says no, and does not act."""
        write.context.abort(grpc.StatusCode.PERMISSION_DENIED, "PrivilegeCreateAlias: permission deny to bob")

    def lose(self, write: Write) -> None:
        """It never reaches the server."""
        write.context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def cut_off(self, write: Write) -> None:
        """The server acts, but the answer is lost, and so is that of the next read of the alias."""
        write.pass_on()
        self._unreadable.add(write.alias)
        write.context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def kill_before(self, write: Write) -> bytes:
        """Whoever sent it is killed, and the server does not act."""
        assert self.client
        self.client.kill()
        self.client.wait()
        return b""

    def kill_after(self, write: Write) -> bytes:
        """Whoever sent it is killed once the server has acted."""
        write.pass_on()
        return self.kill_before(write)

    def _lose_once(self, alias: str, context: grpc.ServicerContext) -> None:
        if alias in self._unreadable:
            self._unreadable.remove(alias)
            context.abort(grpc.StatusCode.INTERNAL, "the answer was lost")


@contextmanager
def saboteur(uri: str) -> Iterator[Saboteur]:
    relay = Saboteur(uri)
    try:
        yield relay
    finally:
        relay.stop()
