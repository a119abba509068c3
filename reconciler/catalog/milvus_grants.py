"""What a user's grants say about a privilege on a whole database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.catalog.milvus_client import PRIVILEGES

ANY = "*"
GROUPS = frozenset({"All", "CollectionAdmin"})
"""Privileges that contain every one of those on aliases (read in Milvus's documentation, not measured)."""


def granted(privilege: str, database: str, grants: Iterable[Mapping[str, str]]) -> bool | None:
    """Whether grants contain a privilege; None if one of them is a group of which that is not known.

    Args:
        privilege: by the name to grant it by: `DropAlias`.
        database: where it is needed.
        grants: of all roles of the user, as `describe_role` tells them.
    """
    names = {grant["privilege"] for grant in grants if grant.get("db_name") in (None, "", ANY, database)}
    if names & {privilege, ANY, *GROUPS}:
        return True
    return None if names - PRIVILEGES else False
