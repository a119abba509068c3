"""The users of a guarded server: root, and one who lacks what a test takes away (2.3.5 has room for ten roles)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.inspect.certificates import Certificates
from tests.servers import ADMIN_TIMEOUT, QUIET_CHANNEL

import grpc  # isort: skip
from pymilvus import MilvusClient, MilvusException  # isort: skip

ROOT = "root:Milvus"
USER, ROLE = "somebody", "somebody_role"
PASSWORD = "s3cr3t-TOKEN"  # noqa: S105 - the mark that no output may have, and that every run of a command looks for
TOKEN = f"{USER}:{PASSWORD}"
PRIVILEGES = {
    "ListAliases": "Global",
    "DescribeCollection": "Global",
    "CreateAlias": "Global",
    "DropAlias": "Global",
    "Load": "Collection",
    "ShowPartitions": "Collection",
    "Query": "Collection",
    "Search": "Collection",
    "IndexDetail": "Collection",
}
"""All that a set with every gate needs on Milvus 2.3.5, with their kinds of objects."""
SETTLING_SECONDS = 120.0


class People:
    """`client` is root's.

    There are the collections v1 and v2, loaded, with two rows each.
    """

    def __init__(self, uri: str, certificates: Certificates) -> None:
        self.uri = uri
        self._certificates = certificates
        self.client = self.connected(ROOT)
        # What everyone has been granted would hide what a user lacks.
        for privilege in ("DescribeCollection", "IndexDetail"):
            self.client.revoke_privilege("public", PRIVILEGES[privilege], privilege, "*", db_name="*")
        for name in ("v1", "v2"):
            self.client.create_collection(name, dimension=4, timeout=ADMIN_TIMEOUT)
            self.client.insert(name, [{"id": key, "vector": [0.0, 0.0, 0.0, key]} for key in (1, 2)])
        self.client.create_user(USER, PASSWORD)
        self.client.create_role(ROLE)
        self.client.grant_role(USER, ROLE)
        self._granted: set[tuple[str, str, str, str]] = set()

    def lacking(self, *privileges: str) -> str:
        """The token of a user who has been granted all but these, once the server has noticed."""
        desired = {(kind, name, "*", "default") for name, kind in PRIVILEGES.items() if name not in privileges}
        for kind, name, on, database in self._granted - desired:
            self.client.revoke_privilege(ROLE, kind, name, on, db_name=database)
            self._granted.remove((kind, name, on, database))
        for grant in desired - self._granted:
            self.grant(*grant)
        self.resolve(*privileges)
        return TOKEN

    def grant(self, kind: str, privilege: str, on: str, database: str) -> None:
        """Grant the user a privilege on one object, or on all by *."""
        self.client.grant_privilege(ROLE, kind, privilege, on, db_name=database)
        self._granted.add((kind, privilege, on, database))

    def resolve(self, *lacking: str) -> None:
        """Wait until the server has noticed that the user has all but these, which may take a while."""
        client = self.connected(TOKEN)
        expected = {name: name not in lacking for name in PRIVILEGES}
        deadline = time.monotonic() + SETTLING_SECONDS
        while (found := {name: _permitted(call, client) for name, call in CALLS.items()}) != expected:
            assert time.monotonic() < deadline, f"granted {expected}, and the server has {found}"
            time.sleep(0.1)
        client.close()

    def connected(self, token: str) -> Any:
        return MilvusClient(
            self.uri,
            token=token,
            timeout=ADMIN_TIMEOUT,
            dedicated=True,
            grpc_options=QUIET_CHANNEL,
            server_pem_path=self._certificates.pem("ca"),
        )

    @property
    def aliases(self) -> dict[str, str]:
        names: Sequence[str] = self.client.list_aliases("", db_name="default")["aliases"]
        return {name: self.client.describe_collection(name)["collection_name"] for name in sorted(names)}

    def point(self, **aliases: str) -> None:
        """Make the aliases exactly these."""
        for name in self.aliases:
            self.client.drop_alias(name)
        for name, collection in aliases.items():
            self.client.create_alias(collection, name)

    def close(self) -> None:
        self.client.close()


NO_NAME, INVALID_NAME = "0", 1100
CALLS: Mapping[str, Callable[[Any], object]] = {
    "ListAliases": lambda client: client.list_aliases("", db_name="default"),
    "DescribeCollection": lambda client: client.describe_collection("v1"),
    "CreateAlias": lambda client: client.create_alias(NO_NAME, NO_NAME),
    "DropAlias": lambda client: client.drop_alias(NO_NAME),
    "Load": lambda client: client.get_load_state("v1"),
    "ShowPartitions": lambda client: client.list_partitions("v1"),
    "Query": lambda client: client.query("v1", filter="id == 1", output_fields=["id"]),
    "Search": lambda client: client.search("v1", [[0.0, 0.0, 0.0, 0.0]], limit=1, anns_field="vector"),
    "IndexDetail": lambda client: client.list_indexes("v1"),
}


def _permitted(call: Callable[[Any], object], client: Any) -> bool:
    try:
        call(client)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return False
    except MilvusException as error:
        if error.code != INVALID_NAME:
            raise
    return True
