"""What an emulated Milvus stores, and what its proxies remember of it.

An alias belongs to one database and stores the collection's id: it follows a rename, and dangles once the collection is
gone. All of it is in memory; `Cluster.restart` loses what a real server would not have stored.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count

from reconciler.catalog.memory.data import StoredCollection
from tests.emulated_milvus.behaviour import Behaviour

from pymilvus.grpc_gen import schema_pb2  # isort: skip

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)


class Code:
    """Milvus's error codes (`pkg/util/merr/errors.go`)."""

    COLLECTION_NOT_FOUND = 100
    NOT_LOADED = 101
    PARTITION_NOT_FOUND = 200
    REPLICA_NOT_FOUND = 400
    INDEX_NOT_FOUND = 700
    DATABASE_NOT_FOUND = 800
    INVALID_NAME = 1100
    ALIAS_NOT_FOUND = 1600
    NAME_TAKEN_BY_COLLECTION = 1601
    ALIAS_EXISTS = 1602
    UNSPECIFIED = 65535


class Refused(Exception):
    """An answer that is an error of Milvus's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Refused(Code.INVALID_NAME, f"Invalid name: {name:.50}")


@dataclass(slots=True)
class Collection:
    """`partitions` has the loaded replicas of each, `owner` the partition of a row; `policy` filters what is read."""

    id: int
    schema: schema_pb2.CollectionSchema
    stored: StoredCollection
    properties: dict[str, str] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=lambda: {"_default": 0})
    owner: dict[object, str] = field(default_factory=dict)
    policy: str = ""
    warm: bool = False

    @property
    def replicas(self) -> int:
        return max(self.partitions.values())


@dataclass(slots=True)
class Database:
    """`unstored` aliases are in the server's memory only. `alias_lock` is held by a call about aliases."""

    name: str
    collections: dict[str, Collection] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    unstored: set[str] = field(default_factory=set)
    alias_lock: threading.Lock = field(default_factory=threading.Lock)

    def by_id(self, collection_id: int | None) -> tuple[str, Collection] | None:
        return next(((name, found) for name, found in self.collections.items() if found.id == collection_id), None)

    def find(self, name: str) -> tuple[str, Collection]:
        """A collection by an alias or its own name; the error for a dangling alias names an id (measured on 2.3.5)."""
        if name in self.aliases:
            at = self.by_id(self.aliases[name])
            if at is None:
                raise Refused(Code.COLLECTION_NOT_FOUND, f"collection not found[collection={self.aliases[name]}]")
            return at
        if name not in self.collections:
            raise Refused(Code.COLLECTION_NOT_FOUND, f"collection not found[database={self.name}][collection={name}]")
        return name, self.collections[name]

    def aliases_of(self, collection_id: int) -> list[str]:
        return sorted(alias for alias, target in self.aliases.items() if target == collection_id)


class Cached(Enum):
    """What a proxy remembers of an alias: where it reads data, and what it answers to DescribeCollection."""

    DATA = "keeps_stuck_readers"
    DESCRIPTION = "describe_may_be_stale"


class Cache:
    """One proxy's memory of which collection an alias stands for, by database and alias."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[Cached, str, str], int] = {}
        self._races: Counter[tuple[Cached, str, str]] = Counter()

    def race(self, kind: Cached, alias: str, database: str = "default", *, alters: int = 1) -> None:
        """Let a read be in flight during each of the next alters: it puts the old collection back where it can."""
        self._races[kind, database, alias] = alters

    def lookup(self, kind: Cached, database: Database, name: str) -> tuple[str, Collection]:
        """The collection that a proxy takes a name for; descriptions are only remembered from a race."""
        if name not in database.aliases or name in database.collections:
            return database.find(name)
        key = kind, database.name, name
        if key not in self._known or self._cluster.behaviour.slow_alias_reads:
            self._cluster.lookups[name] += 1
        if key not in self._known and kind is Cached.DATA:
            self._known[key] = database.aliases[name]
        found = database.by_id(self._known.get(key, database.aliases[name]))
        if found is None:
            raise Refused(Code.COLLECTION_NOT_FOUND, f"collection not found[collection={name}]")
        return found

    def expire(self, database: Database, alias: str, before: int) -> None:
        """Forget an alias, which pointed at the collection with the id `before`."""
        for kind in Cached:
            key = kind, database.name, alias
            if self._races[key] and getattr(self._cluster.behaviour, kind.value):
                self._races[key] -= 1
                self._known.setdefault(key, before)
            else:
                self._known.pop(key, None)

    def clear(self) -> None:
        self._known.clear()
        self._races.clear()


class Cluster:
    """One Milvus, which may have several proxies.

    Set `secondary` to make it the secondary of a replicated pair, `authorization` to check tokens and grants.
    `alias_seconds` is what a call about aliases takes; `most_alias_calls` how many were at work at once.
    `between` is called in the middle of every alter. `lookups` counts what proxies asked about aliases, `calls` the
    calls of clients, `events` has what was recorded without any effect.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.databases = {"default": Database("default")}
        self.caches: list[Cache] = []
        self.lock = threading.RLock()
        self.ids = count(100)
        self.secondary = False
        self.authorization = False
        self.passwords = {"root": "Milvus"}
        self.roles: dict[str, set[str]] = {"root": {"admin"}}
        self.groups: dict[str, set[str]] = {}
        self.grants: dict[str, set[Grant]] = {"admin": set(), "public": default_grants(behaviour)}
        self.alias_seconds = self.cold_seconds = 0.0
        self.searches_unloaded = False
        self.between: Callable[[], object] = lambda: None
        self.calls, self.lookups = Counter[str](), Counter[str]()
        self.events: list[tuple[str, str]] = []
        self.most_alias_calls = 0
        self._alias_calls: defaultdict[str, int] = defaultdict(int)

    def database(self, name: str) -> Database:
        if name not in self.databases:
            raise Refused(Code.DATABASE_NOT_FOUND, f"database not found[database={name}]")
        return self.databases[name]

    def restart(self) -> None:
        """Stop and start: what a drop by prefix deleted from the store is gone now."""
        with self.lock:
            for database in self.databases.values():
                for alias in database.unstored:
                    database.aliases.pop(alias, None)
                database.unstored.clear()
            for cache in self.caches:
                cache.clear()

    def upgrade(self, behaviour: Behaviour) -> None:
        """Restart as another version; what is stored stays, dangling aliases too."""
        self.restart()
        self.behaviour = behaviour
        self.grants["public"] |= default_grants(behaviour)

    @contextmanager
    def alias_call(self, name: str) -> Iterator[Database]:
        """Work on the aliases of a database: one call at a time where the version takes a lock for all of it."""
        database = self.database(name)
        if not self.behaviour.serialises_alias_calls:
            self._work(name)
        with database.alias_lock:
            if self.behaviour.serialises_alias_calls:
                self._work(name)
            yield database

    def _work(self, name: str) -> None:
        with self.lock:
            self._alias_calls[name] += 1
            self.most_alias_calls = max(self.most_alias_calls, self._alias_calls[name])
        time.sleep(self.alias_seconds)
        with self.lock:
            self._alias_calls[name] -= 1

    def expire(self, database: Database, alias: str, before: int) -> None:
        for cache in self.caches:
            cache.expire(database, alias, before)

    def granted(self, user: str, privilege: str, database: str, name: str) -> bool:
        """Whether a user has a privilege on a collection, or on `*` for one of the whole database."""
        roles = {*self.roles.get(user, ()), "public"}
        return "admin" in roles or any(
            grant.allows(privilege, database, name, self.groups)
            for role in roles
            for grant in self.grants.get(role, ())
        )

    def listed_for(self, user: str, collection: str) -> bool:
        """Whether ShowCollections shows a collection; a grant on the whole database does not count."""
        roles = self.roles.get(user, set())
        grants = [grant for role in roles for grant in self.grants.get(role, ()) if grant.object == "Collection"]
        every = not self.authorization or "admin" in roles
        return every or any(grant.name in ("*", collection) for grant in grants)


READS = {"Query", "Search", "IndexDetail", "GetLoadState", "ShowPartitions", "DescribeCollection", "DescribeAlias"}
BUILT_IN_GROUPS: dict[str, set[str]] = {
    "CollectionReadOnly": READS,
    "CollectionReadWrite": READS | {"Insert", "Load"},
    "CollectionAdmin": READS | {"Insert", "Load", "CreateAlias", "DropAlias"},
    "DatabaseReadOnly": {"ShowCollections", "DescribeDatabase"},
    "ClusterReadOnly": {"ListDatabases", "SelectOwnership", "SelectUser", "ListPrivilegeGroups"},
}
"""From 2.5 on; levels do not contain each other."""


@dataclass(frozen=True, slots=True)
class Grant:
    object: str
    name: str
    privilege: str
    database: str

    def allows(self, privilege: str, database: str, name: str, groups: Mapping[str, set[str]]) -> bool:
        contained = {self.privilege} | BUILT_IN_GROUPS.get(self.privilege, set()) | groups.get(self.privilege, set())
        if self.privilege == "All":
            return self.database in ("*", database)
        return bool(contained & {"*", privilege}) and self.name in ("*", name) and self.database in ("*", database)


def default_grants(behaviour: Behaviour) -> set[Grant]:
    """What the role `public` may do."""
    privileges: Iterable[tuple[str, str]] = (("Global", "DescribeCollection"), ("Collection", "IndexDetail"))
    if behaviour.has_grant_privilege_v2:
        privileges = (*privileges, ("Global", "ListAliases"))
    return {Grant(kind, "*", privilege, "*") for kind, privilege in privileges}
