"""The conditions that a run depends on, and how each of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.model import Connection, Target


class Result(StrEnum):
    """`missing`: it was refused, or is not there. `unknown`: it could not be found out without writing."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"
    NOT_NEEDED = "notNeeded"


class Subject(StrEnum):
    """What a condition is about: the server, or a call by Milvus's name of it. In the order in which they are asked."""

    ADDRESS = "address"
    TLS = "tls"
    TOKEN = "token"  # noqa: S105 - not a token
    VERSION = "version"
    DATABASE = "database"
    LIST_ALIASES = "ListAliases"
    DESCRIBE_COLLECTION = "DescribeCollection"
    DESCRIBE_ALIAS = "DescribeAlias"
    GET_LOAD_STATE = "GetLoadState"
    SHOW_PARTITIONS = "ShowPartitions"
    DESCRIBE_INDEX = "DescribeIndex"
    QUERY = "Query"
    SEARCH = "Search"
    CREATE_ALIAS = "CreateAlias"
    ALTER_ALIAS = "AlterAlias"
    DROP_ALIAS = "DropAlias"

    @property
    def words(self) -> str:
        """As a person says it."""
        return "TLS" if self is Subject.TLS else str(self)


SERVER = (Subject.ADDRESS, Subject.TLS, Subject.TOKEN, Subject.VERSION, Subject.DATABASE)
"""The subjects that are not calls: each can only be asked when those before it hold."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How one condition stands. `way_out` says what to do about one that is missing."""

    subject: Subject
    result: Result
    detail: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class TargetAccess:
    """The conditions of one database, or of an endpoint: a further proxy through which aliases are read.

    `server_version` is empty where the server could not be reached. `known_problems` are the server's, each with its
    remedy.
    """

    target: Target
    connection: Connection
    server_version: str
    conditions: tuple[Condition, ...]
    endpoint: bool = False
    known_problems: tuple[str, ...] = ()

    @property
    def results(self) -> Mapping[Subject, Result]:
        return {condition.subject: condition.result for condition in self.conditions}

    @property
    def holds(self) -> bool:
        """Whether nothing is missing; what is unknown may be."""
        return Result.MISSING not in self.results.values()
