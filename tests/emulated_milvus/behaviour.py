"""What emulated servers do differently, by version: read in Milvus's sources and issues (#n is milvus-io/milvus).

Versions were dated by the release around a change: a boundary can be off by one patch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

COLUMNS = ("2.3.5", "2.4.15", "2.5.4", "2.5.18", "2.6.4", "2.6.8", "2.6.11", "2.6.13", "2.6.23", "3.0.1", "cloud")
"""The cloud's version is not known; it is emulated as one that Milvus 2.6 is compatible with."""

TABLE = """
reads_default_database         x  .  .  .  .  .  .  .  .  .  .   DescribeAlias, ListAliases overlook the client's
                                                                 database and answer for `default` (#30368)
drops_by_prefix                x  x  .  .  .  .  .  .  .  .  .   the next restart loses all aliases whose names begin
                                                                 with a dropped one (#33288, #33328)
leaves_dangling_aliases        x  x  x  .  .  .  .  .  .  .  .   a collection can be dropped under its aliases (#36963)
alters_without_privilege       x  .  .  .  .  .  .  .  .  .  .   AlterAlias is not checked; later it needs CreateAlias
load_state_needs_load          x  .  .  .  .  .  .  .  .  .  .   GetLoadState needs Load; later GetLoadState
has_grant_privilege_v2         .  .  x  x  x  x  x  x  x  x  x   from 2.4.18; `public` may ListAliases
checks_name_in_drop            x  x  x  .  .  .  .  .  .  .  .   up to 2.5.14 (#43138)
records_missing_drops          .  .  .  x  x  .  .  .  .  .  .   2.5.15 to 2.6.4: dropping a missing alias is an event
describe_may_be_stale          .  .  .  x  x  x  x  x  x  x  x   DescribeCollection out of a proxy's cache (#51253)
serialises_alias_calls         .  .  .  .  x  x  x  x  x  x  x   one exclusive lock per database (#45506)
loaded_is_not_warm             .  .  .  .  x  x  x  x  x  x  x   (#47627, #47902)
keeps_stuck_readers            x  x  x  x  x  x  x  x  .  .  x   a read in flight puts the old collection back into the
                                                                 proxy's cache (#51779, #51780, #52334)
expires_before_change          .  .  .  .  x  .  .  .  .  .  .   2.6.0 to 2.6.4: caches expire, then the catalog changes
ignores_realter                .  .  .  .  .  x  x  x  x  x  x   altering to the same target is answered, and not done
replicates_alias_calls         .  .  .  .  .  x  x  x  x  x  x   a secondary cluster refuses changes
truncates_collections          .  .  .  .  .  .  x  x  x  x  x
searches_by_collection_grants  .  .  .  .  .  .  x  x  x  x  x   (#48061)
reads_by_collection_grants     .  .  .  .  .  .  .  x  x  x  x   (#47850, #48052)
resolves_alias_targets         .  .  .  .  .  .  .  x  x  x  x   an alias is accepted as the target of an alias
slow_alias_reads               .  .  .  .  .  .  .  x  .  .  x   2.6.12 to 2.6.15: reads through an alias miss the
                                                                 proxy's cache (#49510)
may_search_unloaded            .  .  .  .  .  .  .  .  x  x  .   (#50319)
has_row_level_security         .  .  .  .  .  .  .  .  .  x  .   of the collection, not of the alias (#50263)
"""

REPORTED = {
    "2.4.15": "release/2.4.15-0.1.1",
    "2.5.4": "pkg/v2.5.4",  # the official images (#40216)
    "3.0.1": "v3.0.1",
    "cloud": "unknown-20260608-7ea6e3526",
}
"""Version strings that are more than the number."""
CLOUD_TAGS = "Zilliz Cloud Vector Database(Compatible with Milvus 2.6)"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One column of `TABLE`, and what the server says its version is."""

    version: str
    build_tags: str
    reads_default_database: bool
    drops_by_prefix: bool
    leaves_dangling_aliases: bool
    alters_without_privilege: bool
    load_state_needs_load: bool
    has_grant_privilege_v2: bool
    checks_name_in_drop: bool
    records_missing_drops: bool
    describe_may_be_stale: bool
    serialises_alias_calls: bool
    loaded_is_not_warm: bool
    keeps_stuck_readers: bool
    expires_before_change: bool
    ignores_realter: bool
    replicates_alias_calls: bool
    truncates_collections: bool
    searches_by_collection_grants: bool
    reads_by_collection_grants: bool
    resolves_alias_targets: bool
    slow_alias_reads: bool
    may_search_unloaded: bool
    has_row_level_security: bool


FIELDS = tuple(field.name for field in fields(Behaviour))[2:]


def _columns() -> dict[str, Behaviour]:
    rows = [line.split() for line in TABLE.splitlines() if line and not line.startswith(" ")]
    marks = {name: dict(zip(COLUMNS, cells, strict=False)) for name, *cells in rows}
    return {
        column: Behaviour(
            version=REPORTED.get(column, column),
            build_tags=CLOUD_TAGS if column == "cloud" else column,
            **{name: marks[name][column] == "x" for name in FIELDS},
        )
        for column in COLUMNS
    }


VERSIONS = _columns()
