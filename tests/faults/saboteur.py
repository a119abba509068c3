"""A relay that has its way with single alias writes: refuses them, cuts them off, or kills who sent them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from subprocess import Popen
from typing import Any

import grpc

from tests.faults.relay import Call, Relay

Fault = Callable[[Call], Any]
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

    def befall(self, call: Call) -> Any:
        if call.method == "DescribeCollection" and call.about in self._unreadable:
            self._unreadable.remove(call.about)
            call.context.abort(grpc.StatusCode.INTERNAL, "the answer was lost")
        if not call.writes:
            return call.pass_on()
        number = next(self._numbers)
        self.arrived.append(call.about)
        fault = self.faults.get(number)
        return fault(call) if fault else call.pass_on()

    def refuse(self, call: Call) -> None:
        """The server says no, and does not act."""
        call.context.abort(grpc.StatusCode.PERMISSION_DENIED, "PrivilegeCreateAlias: permission deny to bob")

    def lose(self, call: Call) -> None:
        """It never reaches the server."""
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def cut_off(self, call: Call) -> None:
        """The server acts, but the answer is lost, and so is that of the next read of the alias."""
        call.pass_on()
        self._unreadable.add(call.about)
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def kill_before(self, call: Call) -> bytes:
        """Whoever sent it is killed, and the server does not act."""
        assert self.client
        self.client.kill()
        self.client.wait()
        return b""

    def kill_after(self, call: Call) -> bytes:
        """Whoever sent it is killed once the server has acted."""
        call.pass_on()
        return self.kill_before(call)


@contextmanager
def saboteur(uri: str) -> Iterator[Saboteur]:
    relay = Saboteur(uri)
    try:
        yield relay
    finally:
        relay.stop()
