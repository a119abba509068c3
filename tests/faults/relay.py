"""A relay in front of a Milvus server, that slows it down or makes it fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from pymilvus.grpc_gen import milvus_pb2

WRITES = ("CreateAlias", "AlterAlias", "DropAlias")
LONGEST_CALL = 60.0
"""Seconds that a server may take for a call that was passed on."""
_CHANNEL = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500))
"""A server that was away is found again soon."""
_METHODS = milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"].methods_by_name

Hook = Callable[[grpc.ServicerContext], None]


@dataclass(frozen=True)
class Call:
    """One call that has arrived, of a method such as `AlterAlias`. `pass_on` sends it to the server for its reply."""

    method: str
    request: bytes
    context: grpc.ServicerContext
    pass_on: Callable[[], Any]

    @property
    def writes(self) -> bool:
        """Whether it changes an alias."""
        return self.method in WRITES

    @cached_property
    def about(self) -> str:
        """The alias that it names, else the collection, which may be an alias too; empty if none."""
        return getattr(self._parsed, "alias", "") or getattr(self._parsed, "collection_name", "")

    @property
    def collection(self) -> str | None:
        """Where a write would point the alias; None if it drops it."""
        return getattr(self._parsed, "collection_name", None)

    @cached_property
    def _parsed(self) -> Any:
        return GetMessageClass(_METHODS[self.method].input_type).FromString(self.request)

    def reply(self, **status: Any) -> bytes:
        """An answer with nothing but a status of Milvus's."""
        kind = GetMessageClass(_METHODS[self.method].output_type)
        made = kind(**status) if "code" in kind.DESCRIPTOR.fields_by_name else kind(status=status)
        return bytes(made.SerializeToString())


class Relay(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Passes every call on to a server; `before[method]` may wait or abort first, and a subclass may do as it likes."""

    def __init__(self, uri: str) -> None:
        self.before: dict[str, Hook] = {}
        self._channel = grpc.insecure_channel(uri.removeprefix("http://"), options=_CHANNEL)
        self._pool = ThreadPoolExecutor(32)
        self._server = grpc.server(self._pool, handlers=(self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.uri = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(request: bytes, context: grpc.ServicerContext) -> Any:
            return self.answer(details.method, request, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> Any:
        """What the client gets; `method` is the whole path of it."""
        name = method.rpartition("/")[2]
        if hook := self.before.get(name):
            hook(context)
        return self.befall(Call(name, request, context, lambda: self._pass_on(method, request, context)))

    def befall(self, call: Call) -> Any:
        """What becomes of a call that nothing kept; gives the reply."""
        return call.pass_on()

    def stop(self) -> None:
        """Take no further calls; those that were passed on have been answered on return."""
        self._server.stop(grace=None).wait()
        self._pool.shutdown()
        self._channel.close()

    def _pass_on(self, method: str, request: bytes, context: grpc.ServicerContext) -> Any:
        """The server's reply; it is asked to the end even if the client has given up. Its gRPC errors are passed on."""
        metadata = _meant_for_the_server(context.invocation_metadata())
        try:
            return self._channel.unary_unary(method)(request, metadata=metadata, timeout=LONGEST_CALL)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())


def _meant_for_the_server(metadata: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in metadata if not key.startswith(("user-agent", "grpc-", ":"))]


@contextmanager
def relay_to(uri: str) -> Iterator[Relay]:
    relay = Relay(uri)
    try:
        yield relay
    finally:
        relay.stop()
