"""Documents of format version 1, which had other names for some fields and values, as version 2 has them.

Reports and the journal are migrated. Plan files of version 1 are refused: planning again costs nothing.
"""

from __future__ import annotations

from typing import Any

from reconciler.documents.codec import Malformed

RENAMED = {"wayBack": "reverting", "wish": "specHash", "unverified": "pendingVerification"}
RENAMED_FIGURES = {"wantedReplicas": "desiredReplicas"}
"""Of the gate `loaded`."""
RENAMED_REASONS = {"targetMissing": "collectionMissing", "targetIsAlias": "collectionIsAlias"}
FREE = frozenset({"figures", "gateSpecification"})
"""Fields whose content has names of the user's or of a gate's, and was not renamed."""


def migrated(document: Any) -> Any:
    """Return a document of format version 1 as version 2 has it. Raises `Malformed`: it is nested too deep."""
    try:
        return _migrated(document)
    except RecursionError:
        raise Malformed("$", "nested too deep") from None


def _migrated(value: Any) -> Any:
    if isinstance(value, list):
        return [_migrated(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {RENAMED.get(name, name): part if name in FREE else _migrated(part) for name, part in value.items()}
    if isinstance(blocked := found.get("blocked"), dict) and isinstance(reason := blocked.get("reason"), str):
        found["blocked"] = blocked | {"reason": RENAMED_REASONS.get(reason, reason)}
    if found.get("gate") == "loaded" and isinstance(figures := found.get("figures"), dict):
        found["figures"] = {RENAMED_FIGURES.get(name, name): figure for name, figure in figures.items()}
    return found
