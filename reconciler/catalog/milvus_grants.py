"""Evaluate a user's grants for a privilege on a whole database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.catalog.milvus_client import PRIVILEGES

ANY = "*"
GROUPS = frozenset({"All", "CollectionAdmin"})
"""Groups that contain every privilege on aliases (read in Milvus's documentation, not measured)."""


def granted(privilege: str, database: str, grants: Iterable[Mapping[str, str]]) -> bool | None:
    """Return whether grants contain a privilege; None if one of them is a group that may contain it.

    Args:
        privilege: by the name to grant it by, such as `DropAlias`.
        database: where it is needed.
        grants: of all roles of the user, as `describe_role` returns them.
    """
    names = {grant["privilege"] for grant in grants if grant.get("db_name") in (None, "", ANY, database)}
    if names & {privilege, ANY, *GROUPS}:
        return True
    return None if names - PRIVILEGES else False
