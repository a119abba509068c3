"""The grants of roles, and the call with which an administrator makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.catalog.server_behaviour import ServerBehaviour  # its table is not needed offline

GLOBAL, COLLECTION = "Global", "Collection"
"""The types of the objects that privileges are granted on."""
ALL_DATABASES = "*"
"""Where privileges that belong to no database are granted, such as SelectOwnership (2.6, read; measured on 2.3.5)."""
ANY_ROLE = "ROLE"
"""Stands for a role in a call that the reader of a message completes."""


def grant_call(
    behaviour: ServerBehaviour,
    database: str,
    privilege: str,
    name: str,
    *,
    kind: str = COLLECTION,
    role: str = ANY_ROLE,
) -> str:
    """Return the MilvusClient call that grants a privilege.

    Args:
        behaviour: of the server: newer ones have `grant_privilege_v2`.
        database: where the privilege is granted.
        privilege: by the name to grant it by.
        name: of the collection or alias; `*` for all.
        kind: `Collection` or `Global`.
        role: to whom.
    """
    if behaviour.has_grant_privilege_v2:
        return f'grant_privilege_v2("{role}", "{privilege}", "{name}", db_name="{database}")'
    return f'grant_privilege("{role}", "{kind}", "{privilege}", "{name}", db_name="{database}")'
