"""Differences between Milvus servers, by version: the only place in the code that compares versions.

    reported and stated version ── server_version ──▶ ServerVersion ── behaviour_of ──▶ ServerBehaviour

`TABLE` is the source of `docs/servers.md`. Each row is true of a range of versions; the end of a range is the first
version without it. Boundaries that were read, not measured, were dated by the release around the change and can be off
by one patch. For a version that is not fully known a row can be `POSSIBLE`: guards then assume the worse case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import Enum, StrEnum, auto

import msgspec

from reconciler.catalog.port import DataRead
from reconciler.catalog.server_version import NEWEST, OLDEST, Number, Product, ServerVersion, parse_version, with_stated
from reconciler.core.model import Certainty
from reconciler.core.plan import Action
from reconciler.proxy import proxy_of

Range = tuple[Number, Number]
"""From the first version, up to but not including the second."""

STATE_VERSION = "set serverVersion in the MilvusConnection to the version that runs"

END = (NEWEST[0] + 1, 0, 0)


class Affects(Enum):
    """The runs that a known problem affects: those with any change, those that move an alias, or none."""

    CHANGES = auto()
    MOVES = auto()
    NONE = auto()


class Evidence(StrEnum):
    MEASURED = "measured"
    READ = "read"


class Row(msgspec.Struct, frozen=True):
    """A difference between servers.

    Args:
        name: the field of `ServerBehaviour`.
        ranges: the versions that behave so.
        behaviour: what the server does.
        consequence: what aliasctl does about it, or what the user should know.
        source: issues and pull requests of milvus-io/milvus, or a place in its sources.
        evidence: `measured`: on Milvus 2.3.5 or Milvus Lite 3.2.2; `read`: in sources and issues.
        problem: for users of such a server: the fault and its remedy in one sentence; "" if it is no fault.
        affects: the runs to which the plan adds that sentence.
        product: whose versions the ranges are.
    """

    name: str
    ranges: tuple[Range, ...]
    behaviour: str
    consequence: str
    source: str
    evidence: Evidence = Evidence.READ
    problem: str = ""
    affects: Affects = Affects.NONE
    product: Product = Product.MILVUS

    def certainty(self, version: ServerVersion) -> Certainty:
        """Return whether a server of this version behaves so."""
        if version.product is not self.product:
            return Certainty.NO
        overlaps = [(first, end) for first, end in self.ranges if first <= version.highest and version.lowest < end]
        if not overlaps:
            return Certainty.NO
        inside = any(first <= version.lowest and version.highest < end for first, end in overlaps)
        return Certainty.YES if inside else Certainty.POSSIBLE


TABLE: tuple[Row, ...] = (
    Row(
        "reads_default_database",
        ((OLDEST, (2, 4, 0)),),
        "DescribeAlias and ListAliases answer for the database `default`, unless the request names another.",
        "Every such request names its database. Where an alias points is read with DescribeCollection.",
        "#30368",
        Evidence.MEASURED,
    ),
    Row(
        "drops_by_prefix",
        ((OLDEST, (2, 5, 0)),),
        "Dropping an alias also deletes the stored records of all aliases whose names begin with its name. They work "
        "until the server restarts, and are lost then.",
        "Such a drop is blocked. 2.4.23 is still affected.",
        "#33288, #33328",
        Evidence.MEASURED,
        "dropping an alias loses aliases whose names begin with its name at the next restart (milvus#33288); such "
        "drops are blocked; upgrade to 2.5 or later",
    ),
    Row(
        "leaves_dangling_aliases",
        ((OLDEST, (2, 4, 23)), ((2, 5, 0), (2, 5, 5))),
        "A collection can be dropped while aliases point to it. They then dangle: hidden from every list, but the name "
        "stays taken. Later versions refuse the drop; a dangling alias survives an upgrade.",
        "A create that meets a dangling alias alters it. `state: Absent` drops one on every version. A scope cannot "
        "see one.",
        "#36963, #40236, #40142",
        Evidence.MEASURED,
        "a dropped collection leaves its aliases dangling (milvus#36963); do not drop a collection that has aliases",
    ),
    Row(
        "has_grant_privilege_v2",
        (((2, 4, 18), END),),
        "`grant_privilege_v2` exists, and the role `public` may call ListAliases.",
        "`aliasctl check` prints the grants to make in this form.",
        "`internal/rootcoord/root_coord.go`",
    ),
    Row(
        "records_missing_drops",
        (((2, 5, 15), (2, 6, 5)),),
        "DropAlias does not check the name, and records the drop of an alias that does not exist as an event.",
        "Whether DropAlias is permitted is not tested with a call; the caller's grants are read.",
        "#43138",
    ),
    Row(
        "describe_may_be_stale",
        (((2, 5, 18), END),),
        "DescribeCollection can be answered from a stale proxy cache; DescribeAlias is answered by the coordinator.",
        "Where an alias points is read with DescribeAlias.",
        "#51253",
    ),
    Row(
        "serialises_alias_calls",
        (((2, 6, 0), END),),
        "All alias calls of a database take one exclusive lock.",
        "A higher `concurrency` hardly makes a run faster.",
        "#45506",
    ),
    Row(
        "loaded_is_not_warm",
        (((2, 6, 0), END),),
        "A collection is reported as loaded before its data is in memory or on local disk.",
        "The first searches after a move can be slow. The gate `warm` waits until they are not.",
        "#47627, #47902",
    ),
    Row(
        "keeps_stuck_readers",
        ((OLDEST, (2, 6, 23)),),
        "A read in flight during an alter can put the old collection back into the proxy's cache. The alias is then "
        "served from the old collection until the entry expires. In 2.6.0–2.6.4 caches expire before the catalog "
        "changes, which makes it more likely.",
        "`verify.propagation` reads through the alias until the new collection answers.",
        "#51779, #51780, #52334",
        Evidence.MEASURED,
    ),
    Row(
        "ignores_realter",
        (((2, 6, 5), END),),
        "An alter to the collection the alias already points to is answered with success and not carried out. Before, "
        "it was carried out and made the proxies read the catalog again.",
        "Stuck readers are refreshed by altering again up to 2.6.4. From 2.6.5 that has no effect; from 2.6.23 it is "
        "not needed.",
        "branch 2.6, 2025-11-03",
    ),
    Row(
        "readers_stay_stuck",
        (((2, 6, 5), (2, 6, 23)),),
        "Both of the above: readers can stay on the old collection, and altering again has no effect.",
        "The propagation check fails and says so; `onFailure: Revert` moves the alias back.",
        "#51779, #52334",
        problem="after a move, proxies can keep serving the old collection and cannot be refreshed from here "
        "(milvus#51779); use verify.propagation, and upgrade to 2.6.23 or later",
        affects=Affects.MOVES,
    ),
    Row(
        "replicates_alias_calls",
        (((2, 6, 5), END),),
        "Alias calls are replicated to secondary clusters; a secondary refuses them with code 65535, `cluster is not "
        "primary`.",
        "`NotPrimary`: the call wrote nothing and is not repeated, and the set is not reverted.",
        "`internal/streamingcoord/server/broadcaster`",
    ),
    Row(
        "truncates_collections",
        (((2, 6, 11), END),),
        "`truncate_collection` exists: a collection can be loaded and empty.",
        "Use the gate `rows`. A rollback or revert to an empty collection is reported.",
        "`internal/proxy/impl.go`",
    ),
    Row(
        "searches_by_collection_grants",
        (((2, 6, 11), END),),
        "A search through an alias requires the privilege on the collection, not on the alias's name.",
        "A move can change who may search. The gate `access` and `verify.propagation` detect it.",
        "#48061",
    ),
    Row(
        "reads_by_collection_grants",
        (((2, 6, 12), END),),
        "Every read through an alias requires the privilege on the collection, unless `proxy.resolveAliasForPrivilege` "
        "is off. Before, and in all of 2.5, it is required on the alias's name.",
        "A move can revoke every reader's access. The gate `access` and `verify.propagation` detect it.",
        "#47850, #48052",
    ),
    Row(
        "resolves_alias_targets",
        (((2, 6, 12), END),),
        "CreateAlias, AlterAlias and ListAliases accept an alias in place of a collection and resolve it.",
        "A `collection` that is an alias is blocked before any call.",
        "#47850",
    ),
    Row(
        "slow_alias_reads",
        (((2, 6, 12), (2, 6, 16)),),
        "Every read through an alias misses the proxy's cache: about 1,000 more describe calls per second under load.",
        "`check` and `plan` report it.",
        "#49510, #49513, #49548, #49549",
        problem="every search through an alias is slow (milvus#49510); upgrade to 2.6.16 or later",
        affects=Affects.CHANGES,
    ),
    Row(
        "may_search_unloaded",
        (((2, 6, 17), END),),
        "A search on a collection that was never loaded can succeed.",
        "The gate `loaded` reads the load state, not a search.",
        "#50319",
    ),
    Row(
        "mixes_metadata",
        (((2, 6, 0), END),),
        "A search that runs at the moment of an alter can combine the metadata of both collections. Open.",
        "None; it affects single searches at the moment of a move.",
        "#52351",
    ),
    Row(
        "has_row_level_security",
        (((3, 0, 0), END),),
        "Row-level security belongs to the collection, not to the alias.",
        "A move can expose rows. Define the policies on the new collection before the move.",
        "#50263",
        problem="row-level security is defined per collection, so a move can expose rows (milvus#50263); define the "
        "policies on the new collection first",
        affects=Affects.MOVES,
    ),
    Row(
        "one_call_at_a_time",
        ((OLDEST, END),),
        "Concurrent alias writes corrupt the catalog (45 of 100 alters failed).",
        "One call at a time.",
        "milvus-lite 3.2.2",
        Evidence.MEASURED,
        product=Product.LITE,
    ),
    Row(
        "has_no_privileges",
        ((OLDEST, END),),
        "There are no users and no privileges.",
        "No privilege is tested.",
        "milvus-lite 3.2.2",
        Evidence.MEASURED,
        product=Product.LITE,
    ),
)


class Realter(Enum):
    """The effect of altering an alias to the collection it already points to, for readers stuck on the old one.

    `HEALS`: the proxies read the catalog again; also assumed if the version is not known, since the effect is checked.
    `IGNORED`: no effect. `NOT_NEEDED`: no effect, and readers do not get stuck.
    """

    HEALS = auto()
    IGNORED = auto()
    NOT_NEEDED = auto()


class Rights(Enum):
    """The name by which a reader's privileges are checked when it reads through an alias."""

    ALIAS = auto()
    COLLECTION_FOR_SEARCH = auto()
    COLLECTION = auto()
    UNKNOWN = auto()


class ServerBehaviour(msgspec.Struct, frozen=True):
    """The behaviour of one server; each field is a row of `TABLE`."""

    version: ServerVersion
    reads_default_database: Certainty
    drops_by_prefix: Certainty
    leaves_dangling_aliases: Certainty
    has_grant_privilege_v2: Certainty
    records_missing_drops: Certainty
    describe_may_be_stale: Certainty
    serialises_alias_calls: Certainty
    loaded_is_not_warm: Certainty
    keeps_stuck_readers: Certainty
    ignores_realter: Certainty
    readers_stay_stuck: Certainty
    replicates_alias_calls: Certainty
    truncates_collections: Certainty
    searches_by_collection_grants: Certainty
    reads_by_collection_grants: Certainty
    resolves_alias_targets: Certainty
    slow_alias_reads: Certainty
    may_search_unloaded: Certainty
    mixes_metadata: Certainty
    has_row_level_security: Certainty
    one_call_at_a_time: Certainty
    has_no_privileges: Certainty

    @property
    def is_lite(self) -> bool:
        return self.version.product is Product.LITE

    @property
    def describes_aliases(self) -> bool:
        """Return whether DescribeAlias is used to find where an alias points; otherwise DescribeCollection is.

        DescribeAlias is also used if the version is not known: with the database in the request its answer is right on
        all of them (measured on 2.3.5), while DescribeCollection can be stale on newer ones.
        """
        return not self.is_lite and self.reads_default_database is not Certainty.YES

    @property
    def realter(self) -> Realter:
        if self.keeps_stuck_readers is Certainty.NO and not self.is_lite:
            return Realter.NOT_NEEDED
        return Realter.IGNORED if self.is_lite or self.ignores_realter is Certainty.YES else Realter.HEALS

    @property
    def rights_by(self) -> Rights:
        fields = self.searches_by_collection_grants, self.reads_by_collection_grants
        if Certainty.POSSIBLE in fields:
            return Rights.UNKNOWN
        search, read = (field is Certainty.YES for field in fields)
        return Rights.COLLECTION if read else Rights.COLLECTION_FOR_SEARCH if search else Rights.ALIAS

    def checks_collection(self, read: DataRead) -> bool:
        """Return whether a read through an alias requires the privilege on the collection; also if that is not known.

        Otherwise it requires the privilege on the name of the alias, which a move does not change.
        """
        for_search = self.rights_by is Rights.COLLECTION_FOR_SEARCH and read is DataRead.SEARCH
        return for_search or self.rights_by in (Rights.COLLECTION, Rights.UNKNOWN)

    def known_problems(self) -> Iterator[tuple[Row, Certainty]]:
        """Yield the rows that are faults and certain or possible on this server."""
        for row in TABLE:
            certainty = row.certainty(self.version)
            if row.problem and certainty:
                yield row, certainty


def behaviour_of(reported: str, stated: str = "") -> ServerBehaviour:
    """Return the behaviour of a server that reports one version and is stated to have another, "" for none."""
    version = with_stated(parse_version(reported), stated)
    return ServerBehaviour(version, **{row.name: row.certainty(version) for row in TABLE})


def notices(address: str, behaviour: ServerBehaviour, actions: Collection[Action]) -> Iterator[str]:
    """Yield the notices of a run about its server, one sentence each, given the server's address and the changes."""
    if proxy := proxy_of(address):
        yield f"connected through the proxy {proxy}"
    if not actions:
        return
    if stated := behaviour.version.contradicted_by:
        yield f"the server does not report {stated}, so every guard assumes the worse of both versions; {STATE_VERSION}"
    elif not behaviour.version.known and not behaviour.is_lite:
        yield f"the server's version is not known, so every guard assumes the worst case; {STATE_VERSION}"
    concerned = {Affects.CHANGES, *((Affects.MOVES,) if Action.ALTER in actions else ())}
    for row, certainty in behaviour.known_problems():
        if row.affects in concerned and certainty is Certainty.YES:
            yield row.problem


def range_words(first: Number, end: Number) -> str:
    """Return a range of versions with its last one, or where that is not certain with the first one after it."""
    start, after = (".".join(map(str, number)) for number in (first, end))
    if first == OLDEST:
        return "all" if end == END else f"before {after}"
    if end == END:
        return f"{start} and later"
    if not end[2]:
        return f"{start} and later, before {after}"
    last = f"{end[0]}.{end[1]}.{end[2] - 1}"
    return last if last == start else f"{start} to {last}"
