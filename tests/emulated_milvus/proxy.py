"""The gRPC side of an emulated Milvus: finds out who calls about which database, and lets the handlers answer.

A handler is a function in `HANDLERS` under the name of Milvus's call; any other call is UNIMPLEMENTED.
"""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, Self

from tests.emulated_milvus import aliases, collections, data  # noqa: F401 - they answer calls
from tests.emulated_milvus.access import authenticate, authorize
from tests.emulated_milvus.calls import HANDLERS, SERVICE, Call, Denied, Handler, rpc
from tests.emulated_milvus.cluster import Cache, Cluster, Code, Refused

import grpc  # isort: skip
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]  # isort: skip
from pymilvus.grpc_gen import common_pb2, milvus_pb2  # isort: skip

FREE = frozenset({"Connect", "GetVersion"})
"""Calls that everyone who has a valid token may make, whatever the database."""
DATA_CALLS = frozenset({"Insert", "Upsert", "Delete", "Query", "Search"})
READS = frozenset(name for name in SERVICE.methods_by_name if name.startswith(("Get", "Describe", "List", "Show"))) | {
    "Connect",
    "SelectGrant",
    "SelectRole",
    "SelectUser",
}
CAME_WITH = {
    "TruncateCollection": "truncates_collections",
    **dict.fromkeys(
        ("OperatePrivilegeV2", "CreatePrivilegeGroup", "OperatePrivilegeGroup", "ListPrivilegeGroups"),
        "has_grant_privilege_v2",
    ),
}
"""Calls that there were not always, with the field of `Behaviour`."""
ANSWERED_FOR_DEFAULT = frozenset({"DescribeAlias", "ListAliases"})


class Proxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """An address of a cluster; a context manager."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.cache = Cache(cluster)
        cluster.caches.append(self.cache)
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=(self,))
        self.uri = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        name = details.method.rpartition("/")[2]
        handler = HANDLERS.get(name)
        if handler is None or not getattr(self.cluster.behaviour, CAME_WITH.get(name, ""), True):
            return None
        method = SERVICE.methods_by_name[name]
        request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        return grpc.unary_unary_rpc_method_handler(
            lambda asked, context: self._answer(name, handler, asked, context, answer),
            request_deserializer=request.FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )

    def _answer(
        self, method: str, handler: Handler, request: Any, context: grpc.ServicerContext, answer: type[Any]
    ) -> Any:
        metadata = dict(context.invocation_metadata())
        try:
            call = self._call(method, request, metadata)
            reply = handler(call, request)
        except Refused as refused:
            status = common_pb2.Status(code=refused.code, error_code=1, reason=str(refused))
            return status if answer is common_pb2.Status else answer(status=status)
        except Denied as denied:
            self._abort(context, denied)
        return answer() if reply is None else reply

    def _call(self, method: str, request: Any, metadata: dict[str, str]) -> Call:
        behaviour = self.cluster.behaviour
        with self.cluster.lock:
            self.cluster.calls[method] += 1
        named = getattr(request, "db_name", "")
        overlooked = behaviour.reads_default_database and method in ANSWERED_FOR_DEFAULT
        database = named or ("" if overlooked else metadata.get("dbname", "")) or "default"
        token = base64.b64decode(metadata.get("authorization", "")).decode()
        call = Call(self.cluster, self.cache, method, database, authenticate(self.cluster, token))
        if method not in FREE:
            authorize(call, request)
            self._refuse_on_secondary(method)
        return call

    def _refuse_on_secondary(self, method: str) -> None:
        if not self.cluster.secondary or not self.cluster.behaviour.replicates_alias_calls:
            return
        if method in DATA_CALLS:
            raise Refused(Code.UNSPECIFIED, "code: STREAMING_CODE_REPLICATE_VIOLATION, cause: not the primary cluster")
        if method not in READS:
            raise Refused(Code.UNSPECIFIED, "cluster is not primary, cannot do any DDL/DCL")

    @staticmethod
    def _abort(context: grpc.ServicerContext, denied: Denied) -> NoReturn:
        context.abort(denied.status, str(denied))
        raise AssertionError("abort raises")


@rpc
def connect(call: Call, _request: Any) -> Any:
    info = common_pb2.ServerInfo(build_tags=call.behaviour.build_tags)
    return milvus_pb2.ConnectResponse(identifier=1, server_info=info)


@rpc
def get_version(call: Call, _request: Any) -> Any:
    return milvus_pb2.GetVersionResponse(version=call.behaviour.version)
