"""The conditions that a run depends on, and the result of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from reconciler.core.model import Connection, Target
from reconciler.core.record import ALWAYS, INLINE, Record


class Result(StrEnum):
    """The result of a condition.

    `missing`: it was refused, or is not there. `unknown`: it cannot be determined without writing.
    """

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"
    NOT_NEEDED = "notNeeded"


class Subject(StrEnum):
    """What a condition is about: the server, systems beside it, or a call by Milvus's name of it. In this order."""

    ADDRESS = "address"
    TLS = "tls"
    TOKEN = "token"  # noqa: S105 - not a token
    VERSION = "version"
    DATABASE = "database"
    HOOKS = "hooks"
    PROMETHEUS = "Prometheus"
    LIST_ALIASES = "ListAliases"
    DESCRIBE_COLLECTION = "DescribeCollection"
    DESCRIBE_ALIAS = "DescribeAlias"
    GET_LOAD_STATE = "GetLoadState"
    SHOW_PARTITIONS = "ShowPartitions"
    DESCRIBE_INDEX = "DescribeIndex"
    QUERY = "Query"
    SEARCH = "Search"
    SELECT_OWNERSHIP = "SelectOwnership"
    CREATE_ALIAS = "CreateAlias"
    ALTER_ALIAS = "AlterAlias"
    DROP_ALIAS = "DropAlias"

    @property
    def words(self) -> str:
        """Return the name for people."""
        return "TLS" if self is Subject.TLS else str(self)


SERVER = (Subject.ADDRESS, Subject.TLS, Subject.TOKEN, Subject.VERSION, Subject.DATABASE)
"""The subjects that are not calls: each can only be checked when those before it hold."""


class Condition(Record, frozen=True):
    """One condition and its result."""

    subject: Subject = field(name="condition")
    result: Result
    detail: str
    remedy: Annotated[str | None, Meta(description="What to do about one that is missing.")] = None


class TargetAccess(Record, frozen=True):
    """The conditions of one database, or of an endpoint."""

    target: Annotated[Target, INLINE]
    connection: Connection
    server_version: Annotated[str, Meta(description="Empty where the server cannot be reached.")]
    conditions: tuple[Condition, ...]
    endpoint: Annotated[bool, Meta(description="A further proxy that verify.endpoints names."), ALWAYS] = False
    known_problems: Annotated[tuple[str, ...], Meta(description="Of the server, each with its remedy.")] = ()

    @property
    def results(self) -> Mapping[Subject, Result]:
        return {condition.subject: condition.result for condition in self.conditions}

    @property
    def holds(self) -> bool:
        """Return whether nothing is missing; conditions that are unknown may be."""
        return Result.MISSING not in self.results.values()
