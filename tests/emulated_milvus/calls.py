"""One call of a client, and the table of what answers it: the handlers' side of `proxy`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.emulated_milvus.behaviour import Behaviour
from tests.emulated_milvus.cluster import Cache, Cluster, Database

import grpc  # isort: skip
from pymilvus.grpc_gen import milvus_pb2  # isort: skip

SERVICE = milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"]


class Denied(Exception):
    """A gRPC status in place of an answer."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client; `user` is "" where nobody needs a token."""

    cluster: Cluster
    cache: Cache
    method: str
    database_name: str
    user: str

    @property
    def behaviour(self) -> Behaviour:
        return self.cluster.behaviour

    @property
    def database(self) -> Database:
        return self.cluster.database(self.database_name)


Handler = Callable[[Call, Any], Any]
HANDLERS: dict[str, Handler] = {}


def rpc(handler: Handler) -> Handler:
    """Answer the call of this name: `create_alias` answers CreateAlias. None is success with nothing to say."""
    HANDLERS["".join(map(str.capitalize, handler.__name__.split("_")))] = handler
    return handler
