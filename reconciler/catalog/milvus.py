"""The catalog over pymilvus, with one `MilvusClient` per database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, TypeVar

from msgspec.structs import replace
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from reconciler.catalog.adaptive_limit import AdaptiveLimit
from reconciler.catalog.milvus_answers import index_of, key_filter, key_of, row_of, schema_of, serving_replicas
from reconciler.catalog.milvus_client import (
    ONE_TRY,
    Caller,
    SingleAttempt,
    follows_topology,
    ids_of_listed_collections,
    open_client,
)
from reconciler.catalog.milvus_errors import names_an_id, our_errors, worth_another_read
from reconciler.catalog.milvus_grants import custom_groups, granted, read_grants
from reconciler.catalog.port import (
    IMPOSSIBLE_NAME,
    AliasWrite,
    Observe,
    ReadGrant,
    check_alias_name,
    check_sizes,
)
from reconciler.catalog.server_behaviour import ServerBehaviour, behaviour_of
from reconciler.catalog.server_version import parse_version
from reconciler.core.errors import (
    AliasNotFound,
    AuthenticationFailed,
    CatalogError,
    CollectionNotFound,
    ConnectionFailed,
    InvalidName,
    NotLoaded,
    NotPrimary,
    NotSupported,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.core.model import Collection, Connection, Index, LoadState, PrimaryKey, Row, Schema, Target, Vector
from reconciler.credentials import Secrets

T = TypeVar("T")

log = logging.getLogger(__name__)

READ_ATTEMPTS = 4
LONGEST_WAIT = 0.5
"""Seconds between two attempts of a read."""

STRONG, EVENTUALLY = "Strong", "Eventually"
"""Consistency levels: a strong read waits on Milvus 2.3.5 for the next time tick (measured: 190 ms against 12 ms)."""

IMPOSSIBLE_WRITES = {
    AliasWrite.CREATE: ("create_alias", (IMPOSSIBLE_NAME, IMPOSSIBLE_NAME)),
    AliasWrite.ALTER: ("alter_alias", (IMPOSSIBLE_NAME, IMPOSSIBLE_NAME)),
    AliasWrite.DROP: ("drop_alias", (IMPOSSIBLE_NAME,)),
}
"""Calls that can only fail, or have no effect: see `Catalog.permits`."""
ADMIN, PUBLIC = "admin", "public"
"""Built-in roles of Milvus: the one of root, which grants everything, and the one that every user has."""

REPLICA_NOT_FOUND = 400
FULLY_LOADED = 100
"""Percent of a partition's data."""
UNKNOWN_VERSION = "unknown"
LONGEST_VERSION = 100
"""Maximum characters shown of a reported version."""

# Milvus Lite loses aliases under concurrent calls, whichever database or client they come through.
_ONE_CALL = threading.BoundedSemaphore(1)


class MilvusCatalog:
    """A `Catalog` over pymilvus. Measured on Milvus 2.3.5 and Milvus Lite 3.2.2 with pymilvus 3.0.2."""

    def __init__(
        self,
        connection: Connection,
        database: str,
        *,
        secrets: Secrets | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.database = database
        self._connection = connection
        self._secrets = secrets
        self._target = Target(connection.address, database)
        self._timeout = connection.timeout
        self._limit = connection.concurrency
        self._slots = AdaptiveLimit(connection.concurrency)
        self._stated_version = connection.server_version
        self._known: tuple[str, ServerBehaviour] | None = None
        self._version_may_have_changed = False
        self._version_lock = threading.Lock()
        self._calls = 0
        self._calls_lock = threading.Lock()
        self._observe = observe
        self._caller = Caller()
        self._follows_topology = follows_topology(connection.uri)
        self._outdated = False
        self._client = self._open(connection, self._caller)
        self._listed_ids = ids_of_listed_collections(self._client)

    @property
    def concurrency(self) -> int:
        return 1 if self.behaviour.one_call_at_a_time else self._limit

    @property
    def behaviour(self) -> ServerBehaviour:
        try:
            return self._server()[1]
        except CatalogError:
            if self._known is None:
                raise
            return self._known[1]

    @property
    def calls(self) -> int:
        return self._calls

    @property
    def outdated(self) -> bool:
        return self._outdated

    def server_version(self) -> str:
        return self._server()[0]

    def forget_version(self) -> None:
        self._version_may_have_changed = True

    def _server(self) -> tuple[str, ServerBehaviour]:
        """Return version and behaviour, read again if the version may have changed."""
        with self._version_lock:
            if self._known is None or self._version_may_have_changed:
                self._known, self._version_may_have_changed = self._read_version(), False
            return self._known

    def _read_version(self) -> tuple[str, ServerBehaviour]:
        """Return the reported version, or else the build tags, with the stated one if it matters; and the behaviour."""
        reported = self._reported_version() or UNKNOWN_VERSION
        if not parse_version(reported).known:
            tags = self._reported_version(detail=True)
            reported = tags if parse_version(tags).known else reported
        behaviour, shown = behaviour_of(reported, self._stated_version), reported[:LONGEST_VERSION]
        if behaviour.version != parse_version(reported):
            shown += f", stated to be {self._stated_version}"
        return shown, behaviour

    def _reported_version(self, **options: bool) -> str:
        """Return the answer of GetVersion, or with `detail` the build tags of Connect; "" if that is not permitted."""
        try:
            answer = self._until_deadline(lambda timeout: self._send("get_server_version", timeout, **options))
        except (NotSupported, PermissionDenied):
            return ""
        return str(answer["version"] if options else answer)

    def databases(self) -> frozenset[str]:
        return frozenset(self._read("list_databases"))

    def alias_names(self) -> frozenset[str]:
        # Without `db_name` some versions use the database "default": see `reads_default_database`.
        return frozenset(self._read("list_aliases", "", db_name=self.database)["aliases"])

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        try:
            answer = self._read("list_aliases", collection, db_name=self.database)
        except (CollectionNotFound, InvalidName):
            return None
        # Milvus Lite accepts an alias here, and returns its collection.
        is_alias = answer.get("collection_name", collection) != collection
        return None if is_alias else frozenset(answer["aliases"])

    def resolve(self, alias: str) -> Collection | None:
        """Implement `Catalog`. Which call is made depends on the version (see `ServerBehaviour.describes_aliases`)."""
        try:
            if self.behaviour.describes_aliases:
                name = self._read("describe_alias_in", alias, self.database)
                return Collection(name) if name else None
            found = self._describe(alias)
        except (AliasNotFound, CollectionNotFound, InvalidName):
            return None
        return None if found.name == alias else found

    def dangles(self, alias: str) -> bool | None:
        if self.behaviour.is_lite:
            return False
        try:
            self._read("show_partitions", alias, self.database)
        except CollectionNotFound as error:
            return names_an_id(str(error), alias)
        except (PermissionDenied, NotSupported):
            return None
        return False

    def collections(self) -> dict[str, Collection]:
        names = self._read("list_collections")
        ids = self._listed_ids()
        return {name: Collection(name, ids.get(name)) for name in names}

    def describe(self, collection: str) -> Collection | None:
        try:
            found = self._describe(collection)
        except (CollectionNotFound, InvalidName):
            return None
        return found if found.name == collection else None

    def load_state(self, collection: str) -> LoadState:
        try:
            return self._read_as(lambda answer: LoadState(answer["state"].name), "get_load_state", collection)
        except (CollectionNotFound, InvalidName):
            return LoadState.MISSING

    def partitions(self, collection: str) -> dict[str, bool]:
        names = self._read("show_partitions", collection, self.database)
        try:
            loaded = self._read("show_partitions", collection, self.database, in_memory=True)
        except NotLoaded:
            loaded = {}
        return {name: loaded.get(name) == FULLY_LOADED for name in names}

    def replicas(self, collection: str) -> int:
        try:
            return self._read_as(serving_replicas, "describe_replica", collection, sends=2)
        except UnexpectedAnswer as error:
            if error.server_code == REPLICA_NOT_FOUND:  # the collection is not loaded
                return 0
            raise

    def schema(self, collection: str) -> Schema:
        return self._read_as(schema_of, "describe_collection", collection)

    def indexes(self, collection: str) -> tuple[Index, ...]:
        names = self._read("list_indexes", collection)
        found = [self._read_as(index_of, "describe_index", collection, name) for name in names]
        return tuple(index for index in found if index)

    def count(self, collection: str, where: str = "") -> int:
        return self._query(lambda found: int(found[0]["count(*)"]), collection, where, ["count(*)"])

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        check_sizes(limit=limit)

        def keys(found: Any) -> tuple[PrimaryKey, ...]:
            return tuple(key_of(row, primary) for row in found)

        return self._query(keys, collection, "", [primary], limit=limit)

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, strong: bool = True
    ) -> dict[PrimaryKey, Row]:
        check_sizes(keys=keys)
        if not keys:
            return {}

        def by_key(found: Any) -> dict[PrimaryKey, Row]:
            return {key_of(row, primary): row_of(row, fields) for row in found}

        level = STRONG if strong else EVENTUALLY
        return self._query(by_key, collection, key_filter(primary, keys), [primary, *fields], level)

    def search(
        self,
        collection: str,
        field: str,
        vectors: Sequence[Vector],
        *,
        limit: int,
        where: str = "",
        strong: bool = True,
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        check_sizes(vectors=vectors, limit=limit)
        if not vectors:
            return ()
        data = [list(vector) for vector in vectors]
        level = STRONG if strong else EVENTUALLY
        found = self._read(
            "search", collection, data=data, anns_field=field, filter=where, limit=limit, consistency_level=level
        )
        return tuple(tuple(hits.ids) for hits in found)

    def create_alias(self, alias: str, collection: str) -> None:
        check_alias_name(alias)
        self._write("create_alias", collection, alias)

    def alter_alias(self, alias: str, collection: str) -> None:
        check_alias_name(alias)
        self._write("alter_alias", collection, alias)

    def drop_alias(self, alias: str) -> None:
        self._write("drop_alias", alias)

    def permits(self, write: AliasWrite) -> bool | None:
        if self.behaviour.has_no_privileges:
            return True
        if write is AliasWrite.DROP and self.behaviour.records_missing_drops:
            return self._granted(write.privilege)
        method, names = IMPOSSIBLE_WRITES[write]
        try:
            self._write(method, *names)
        except PermissionDenied:
            return False
        except (InvalidName, CollectionNotFound, AliasNotFound):
            return True
        return True

    def read_grants(self) -> Mapping[str, frozenset[ReadGrant]]:
        if self.behaviour.has_no_privileges:
            return {}
        roles = [role for role in self._read("list_roles") if role != ADMIN]
        grants = {role: self._read("grants_of_role", role, self.database) for role in roles}
        custom = any(custom_groups(self.database, of_role) for of_role in grants.values())
        groups = self._privilege_groups() if custom else {}
        return {role: read_grants(self.database, of_role, groups) for role, of_role in grants.items()}

    def requires_token(self) -> bool:
        if not self._caller.token:
            return False
        try:
            self._call_without_token()
        except (AuthenticationFailed, PermissionDenied):
            return True
        return False

    def close(self) -> None:
        self._client.close()

    def _open(self, connection: Connection, caller: Caller) -> Any:
        """Open a client; once for a global cluster, since pymilvus itself repeats the request for the primary."""
        return self._until_deadline(
            lambda timeout: open_client(connection, self.database, timeout, caller, self._secrets),
            attempts=1 if self._follows_topology else READ_ATTEMPTS,
        )

    def _call_without_token(self) -> None:
        """Make a call that requires a privilege: a gateway may accept a mere connection without a token."""
        with closing(self._open(replace(self._connection, token=None), Caller())) as client:
            self._until_deadline(lambda timeout: client.list_roles(timeout=timeout, **ONE_TRY))

    def _privilege_groups(self) -> dict[str, frozenset[str]]:
        """Return the privileges in each group; none on servers without groups."""
        try:
            found = self._read("list_privilege_groups")
        except NotSupported:
            return {}
        return {group["privilege_group"]: frozenset(group["privileges"]) for group in found}

    def _granted(self, privilege: str) -> bool | None:
        """Return whether the grants of the caller's own user and roles, which every user may read, contain a privilege.

        A server that accepts connections without a token requires no privileges.
        """
        user = self._caller.user
        if not user:
            return True if user == "" else None
        try:
            roles = self._read("describe_user", user).get("roles", ())
            grants = [grant for role in {*roles, PUBLIC} for grant in self._read("grants_of_role", role, self.database)]
        except (PermissionDenied, NotSupported):
            return None
        return ADMIN in roles or granted(privilege, self.database, grants)

    def _describe(self, name: str) -> Collection:
        answer = self._read("describe_collection", name)
        return Collection(answer["collection_name"], answer["collection_id"] or None)  # Milvus Lite: 0

    def _query(
        self,
        convert: Callable[[Any], T],
        collection: str,
        where: str,
        fields: Sequence[str],
        level: str = STRONG,
        limit: int | None = None,
    ) -> T:
        # pymilvus fetches a schema for `ids=`, and caches it by name even after an alias moved; a filter needs none.
        return self._read_as(
            convert, "query", collection, filter=where, output_fields=[*fields], consistency_level=level, limit=limit
        )

    def _read(self, method: str, *args: str, sends: int = 1, **options: object) -> Any:
        with self._slot():
            return self._until_deadline(lambda timeout: self._send(method, timeout, *args, sends=sends, **options))

    def _read_as(self, convert: Callable[[Any], T], method: str, *args: str, sends: int = 1, **options: object) -> T:
        """Return the result of `convert` for an answer, which may be malformed."""
        with self._our_errors():
            return convert(self._read(method, *args, sends=sends, **options))

    def _write(self, method: str, *args: str, **options: Any) -> None:
        with self._slot():
            self._send(method, SingleAttempt(self._timeout), *args, **options)

    def _slot(self) -> AbstractContextManager[object]:
        return _ONE_CALL if self.behaviour.one_call_at_a_time else self._slots.slot()

    def _send(self, method: str, timeout: SingleAttempt, *args: str, sends: int = 1, **options: object) -> Any:
        """Make one attempt; `sends` is the number of calls that pymilvus makes for it."""
        with self._calls_lock:
            self._calls += sends
        start, code, refused = time.perf_counter(), "ok", False
        try:
            with self._our_errors():
                return getattr(self._client, method)(*args, timeout=timeout, **ONE_TRY, **options)
        except CatalogError as error:
            code, refused = error.code, isinstance(error, RateLimited)
            self._outdated |= self._follows_topology and isinstance(error, ConnectionFailed | NotPrimary)
            self._version_may_have_changed |= isinstance(error, ConnectionFailed)  # the server may have been upgraded
            raise
        finally:
            spent = time.perf_counter() - start
            self._slots.learn(method, spent, refused=refused)
            if self._observe:
                self._observe(method, code, spent)
            details = {"method": method, "names": args, "database": self.database, "code": code}
            log.debug("call", extra=details | {"milliseconds": round(spent * 1000, 1)})

    def _our_errors(self) -> AbstractContextManager[None]:
        return our_errors(self._target, self._timeout, lambda: self._caller.secrets)

    def _until_deadline(self, attempt_once: Callable[[SingleAttempt], T], attempts: int = READ_ATTEMPTS) -> T:
        """Retry transient errors a few times, within the timeout of the connection."""
        deadline = time.monotonic() + self._timeout

        def worth_another(error: BaseException) -> bool:
            return worth_another_read(error) and time.monotonic() + LONGEST_WAIT < deadline

        retries = Retrying(
            retry=retry_if_exception(worth_another),
            stop=stop_after_attempt(attempts),
            wait=wait_exponential(multiplier=0.05, max=LONGEST_WAIT) + wait_random(0, 0.1),
            before_sleep=_log_retry,
            reraise=True,
        )
        for attempt in retries:
            with attempt, self._our_errors():
                return attempt_once(SingleAttempt(deadline - time.monotonic()))
        raise AssertionError("it ends with a result or an error")


def _log_retry(state: RetryCallState) -> None:
    reason = state.outcome.exception() if state.outcome else None
    log.info("trying again", extra={"attempt": state.attempt_number, "reason": str(reason)})
