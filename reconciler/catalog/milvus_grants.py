"""Evaluate grants as Milvus returns them: for a privilege on a whole database, and for reads of collections.

Measured on Milvus 2.3.5: `SelectGrant` returns the grants in the database of the request and those in `*`; the
privilege `*` on a collection contains all others; a name with a wildcard in it is refused. Groups of privileges are
read in Milvus's sources and documentation, not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.catalog.grants import COLLECTION
from reconciler.catalog.milvus_client import PRIVILEGES
from reconciler.catalog.port import DataRead, ReadGrant

ANY = "*"
GROUPS = frozenset({"All", "CollectionAdmin"})
"""Groups that contain every privilege on aliases (read in Milvus's documentation, not measured)."""
READING_GROUPS = frozenset(
    {"All", "ReadOnly", "ReadWrite", "Admin", "CollectionReadOnly", "CollectionReadWrite", "CollectionAdmin"}
)
"""Milvus's own groups that contain Query and Search; those for databases and clusters do not."""
OTHER_GROUPS = frozenset(
    f"{level}{group}" for level in ("Database", "Cluster") for group in ("ReadOnly", "ReadWrite", "Admin")
)

Grants = Iterable[Mapping[str, str]]
"""Of roles, as `describe_role` returns them."""


def granted(privilege: str, database: str, grants: Grants) -> bool | None:
    """Return whether grants contain a privilege; None if one of them is a group that may contain it.

    Args:
        privilege: by the name to grant it by, such as `DropAlias`.
        database: where it is needed.
        grants: of all roles of the user.
    """
    names = {grant["privilege"] for grant in _in(database, grants)}
    if names & {privilege, ANY, *GROUPS}:
        return True
    return None if names - PRIVILEGES else False


def custom_groups(database: str, grants: Grants) -> set[str]:
    """Return the granted groups that are not Milvus's own, and privileges that are newer than this pymilvus."""
    names = {_without_prefix(grant["privilege"]) for grant in _in(database, grants)}
    return names - PRIVILEGES - READING_GROUPS - OTHER_GROUPS - {ANY}


def read_grants(database: str, grants: Grants, groups: Mapping[str, Iterable[str]]) -> frozenset[ReadGrant]:
    """Return the reads that grants permit.

    Args:
        database: where.
        grants: of one role.
        groups: the privileges in each group, for those that are not Milvus's own.
    """
    return frozenset(
        ReadGrant(read, grant["object_name"]) for grant in _in(database, grants) for read in _reads(grant, groups)
    )


def _reads(grant: Mapping[str, str], groups: Mapping[str, Iterable[str]]) -> Iterator[DataRead]:
    name = _without_prefix(grant["privilege"])
    everything = name in READING_GROUPS or (name == ANY and grant["object_type"] == COLLECTION)
    contained = set(groups.get(name, ())) | {name}
    yield from (read for read in DataRead if everything or read in contained)


def _in(database: str, grants: Grants) -> Iterator[Mapping[str, str]]:
    return (grant for grant in grants if grant.get("db_name") in (None, "", ANY, database))


def _without_prefix(name: str) -> str:
    """Return the name of a group without the word that Milvus 2.4 puts before it: `GroupReadOnly`."""
    bare = name.removeprefix("Group")
    return bare if bare in READING_GROUPS | OTHER_GROUPS else name
