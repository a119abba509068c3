"""A Milvus address that writes down every call, says which process made it, and can fail in the ways that servers do.

What passes is passed on byte for byte, with its metadata (token, database) and what is left of its deadline.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from pymilvus.grpc_gen import milvus_pb2

from tests.servers import free_port

THREADS = 64
"""More than all clients of a test together have calls in flight."""
LONGEST_CALL = 3600.0
"""Seconds; for a client that waits for ever, what remains is a number too large to be passed on."""
WRITES = ("CreateAlias", "AlterAlias", "DropAlias")
NOT_DONE = 1
"""`code` of a call that failed with a gRPC status, or was answered by an old server without a code."""
_SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", -1),
    # Milvus lets clients ping every 5 s; gRPC's default is to hang up on them.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
)
_CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
_ALREADY_THERE = ("user-agent", "grpc-", ":")
_METHODS = milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"].methods_by_name

Fault = Callable[[grpc.ServicerContext], None]
"""Befalls a call before it is passed on: it may wait, or abort the call."""


@dataclass
class Call:
    """One call that arrived.

    `time` is in seconds since the epoch, `pid` the process that made it (None if it was gone before that could be
    read), and `code` Milvus's answer: 0 for done, None for none yet or ever.
    """

    time: float
    method: str
    peer: str
    pid: int | None
    database: str
    alias: str
    collection: str
    code: int | None = None


class CountingProxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Stands in front of the Milvus at `uri`. `calls` are all calls so far, in the order in which they arrived."""

    def __init__(self, uri: str) -> None:
        self.calls: list[Call] = []
        self._faults: dict[str, Fault] = {}
        self._released = threading.Event()
        self._processes: dict[str, int | None] = {}
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(uri.removeprefix("http://"), options=_CHANNEL_OPTIONS)
        self._pool = ThreadPoolExecutor(THREADS)
        self._port = free_port()
        self._server: grpc.Server | None = None
        self.up()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.method in WRITES]

    @property
    def done(self) -> list[Call]:
        """The writes that the server has done."""
        return [call for call in self.writes if call.code == 0]

    def counts(self, since: float = 0) -> Counter[str]:
        """How many calls of each method arrived, from this time on."""
        return Counter(call.method for call in self.calls if call.time >= since)

    def delay(self, method: str, seconds: float) -> None:
        """Keep each call of a method so long before it is passed on."""
        self._faults[method] = lambda _context: time.sleep(seconds)

    def fail(self, method: str, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, details: str = "down") -> None:
        """Refuse each call of a method; the server never sees it."""
        self._faults[method] = lambda context: context.abort(code, details)

    def hang(self, method: str) -> None:
        """Keep each call of a method until it is given up, or until `heal`, which passes it on."""
        self._faults[method] = self._hold

    def befall(self, method: str, fault: Fault) -> None:
        """Any other fault: kill whoever called, for one."""
        self._faults[method] = fault

    def heal(self) -> None:
        """No faults any more."""
        self._faults.clear()
        released, self._released = self._released, threading.Event()
        released.set()

    def down(self) -> None:
        """End all connections, and refuse new ones."""
        if self._server:
            self._server.stop(grace=None).wait()
            self._server = None

    def up(self) -> None:
        """Listen, at the same address as ever."""
        self._server = grpc.server(self._pool, handlers=(self,), options=_SERVER_OPTIONS)
        self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        self._server.start()

    def stop(self) -> None:
        """Take no further calls; those that were passed on have been answered on return."""
        self.heal()
        self.down()
        self._pool.shutdown()
        self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            return self._answer(details.method, request, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    def _answer(self, path: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        method = path.rpartition("/")[2]
        call = self._note(method, request, context)
        if fault := self._faults.get(method):
            fault(context)
        if not context.is_active():  # its client gave up meanwhile
            return b""
        metadata = [(key, value) for key, value in context.invocation_metadata() if not key.startswith(_ALREADY_THERE)]
        try:
            seconds = min(context.time_remaining(), LONGEST_CALL)
            reply = self._channel.unary_unary(path)(request, timeout=seconds, metadata=metadata)
        except grpc.RpcError as error:
            call.code = NOT_DONE
            context.abort(error.code(), error.details())
            raise  # never reached: abort raises
        call.code = _code_of(method, reply)
        return bytes(reply)

    def _note(self, method: str, request: bytes, context: grpc.ServicerContext) -> Call:
        desired = _decoded(method, request, "input_type")
        database, alias, collection = (getattr(desired, field, "") for field in ("db_name", "alias", "collection_name"))
        with self._lock:
            pid = self._process_of(context.peer())
            call = Call(time.time(), method, context.peer(), pid, database, alias, collection)
            self.calls.append(call)
        return call

    def _process_of(self, peer: str) -> int | None:
        """Who has the other end of a connection; found at its first call, since later it may have been killed."""
        if peer not in self._processes:
            self._processes[peer] = _owner_of(int(peer.rpartition(":")[2]), self._port)
        return self._processes[peer]

    def _hold(self, context: grpc.ServicerContext) -> None:
        released = self._released
        while context.is_active() and not released.wait(0.1):
            pass


def _decoded(method: str, message: bytes, which: str) -> Any:
    """A request (`input_type`) or reply (`output_type`); None for a method that this pymilvus does not know."""
    known = _METHODS.get(method)
    return GetMessageClass(getattr(known, which)).FromString(message) if known else None


def _code_of(method: str, reply: bytes) -> int:
    answer = _decoded(method, reply, "output_type")
    status = getattr(answer, "status", answer)  # writes of aliases are answered with nothing but a status
    code = getattr(status, "code", 0)
    return code or (NOT_DONE if getattr(status, "error_code", 0) else 0)


def _owner_of(port: int, server_port: int) -> int | None:
    """The process with the connection from one port of this machine to another (Linux)."""
    ends = [f"{port:04X}", f"{server_port:04X}"]
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]  # gRPC's sockets are IPv6 ones, for IPv4 too
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    inode = next((row[9] for row in rows if [end.rpartition(":")[2] for end in row[1:3]] == ends), None)
    if inode is None:
        return None
    processes = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return next((pid for pid in processes if f"socket:[{inode}]" in _open_files(pid)), None)


def _open_files(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # it ended meanwhile
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names, without a Path each
            with contextlib.suppress(OSError):  # that was closed meanwhile
                yield os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115


@contextmanager
def counting_proxy(uri: str) -> Iterator[CountingProxy]:
    proxy = CountingProxy(uri)
    try:
        yield proxy
    finally:
        proxy.stop()
