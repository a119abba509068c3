"""A deadline for a whole exchange, and a socket that keeps to it however slowly the other side sends."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


LONGEST_WAIT = 0.1
"""Seconds after which a wait for an answer checks whether it should end."""


class Deadline:
    """Ends a number of seconds from now, or as soon as `halted` is true."""

    def __init__(self, seconds: float, halted: Callable[[], bool] = lambda: False) -> None:
        self._end = monotonic() + seconds
        self._halted = halted

    def left(self, limit: float = inf) -> float:
        """Return the seconds that are left, but at most `limit`. Raises `TimeoutError` if there are none."""
        left = self._end - monotonic()
        if left <= 0 or self._halted():
            raise TimeoutError
        return min(left, limit)


class Channel:
    """What `http.client` uses of a socket. The timeout of a socket alone is for each byte anew."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(self._deadline.left())
            rest = rest[self._socket.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - http.client reads bytes
        return io.BufferedReader(_Reader(self._socket, self._deadline))

    def close(self) -> None:
        """Do nothing: the socket is closed by the one who opened it."""


class _Reader(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while True:
            self._socket.settimeout(self._deadline.left(LONGEST_WAIT))
            with suppress(TimeoutError):
                return self._socket.recv_into(buffer)
