"""Hash of each set's spec when it was last fully applied; tells drift from pending changes.

The last applied commit does not: a commit may leave a set as it was, or apply one set while another waits. The hash is
in a file, so that a restart does not correct what someone moved by hand in a set with `drift: Report`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from reconciler.core import json_strict
from reconciler.core.errors import AliasctlError
from reconciler.core.model import AliasSet
from reconciler.core.plan import spec_digest
from reconciler.core.report import Report, is_applied
from reconciler.files import MIB, read_limited, replace_file

KIND = "LastApplied"
FORMAT_VERSION = 1
MAX_BYTES = 64 * MIB

log = structlog.get_logger()


class LastApplied:
    """The hashes, by the key of the set. `file`: where they are kept; only one process may use it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._digests: Mapping[str, str] = {}
        self._written: Mapping[str, str] | None = None
        self._loaded = False

    def load(self, applied: Iterable[AliasSet]) -> None:
        """Read the file, unless that was done.

        `applied`: the sets of the commit that is known to be fully applied; they count if there is no usable file.
        """
        if not self._loaded:
            self._written = self._load()
            self._digests, self._loaded = self._written or {}, True
        if self._written is None:
            known = {alias_set.key: spec_digest(alias_set) for alias_set in applied if not alias_set.suspend}
            self._digests = {**known, **self._digests}

    def has(self, alias_set: AliasSet) -> bool:
        """Return whether this very spec was fully applied before, so that its differences are drift."""
        return self._digests.get(alias_set.key) == spec_digest(alias_set)

    def invalidate(self, sets: Iterable[AliasSet]) -> None:
        """Forget the earlier specs of sets that are about to change: from then on no difference from them is drift.

        Raises `AliasctlError`: the file cannot be written.
        """
        changing = {alias_set.key for alias_set in sets if not self.has(alias_set)}
        self._write({key: digest for key, digest in self._digests.items() if key not in changing})

    def record(self, sets: Iterable[AliasSet], report: Report) -> None:
        """Record which sets are fully applied after a run.

        `sets`: all sets that there are; a set that is removed and comes back later counts as new. Raises
        `AliasctlError`: the file cannot be written.
        """
        if report.plan.refusals:
            return
        by_key = {alias_set.key: alias_set for alias_set in sets}
        incomplete = {result.step.set for result in report.results if not is_applied(result)}
        planned = {set_plan.set for set_plan in report.plan.set_plans if not set_plan.suspended} - incomplete
        kept = {key: digest for key, digest in self._digests.items() if key in by_key}
        self._write(kept | {key: spec_digest(by_key[key]) for key in planned & by_key.keys()})

    def _write(self, digests: Mapping[str, str]) -> None:
        """Replace the file atomically and durably: half a file could not be used at all."""
        if digests == self._written:
            return
        document = {"kind": KIND, "formatVersion": FORMAT_VERSION, "sets": dict(sorted(digests.items()))}
        try:
            replace_file(self._file, json.dumps(document, indent=2).encode() + b"\n")
        except OSError as error:
            raise AliasctlError(f"{self._file}: cannot be written: {error.strerror}") from error
        self._digests = self._written = digests

    def _load(self) -> Mapping[str, str] | None:
        """Return the content of the file; None if there is none, or it cannot be used."""
        try:
            return _digests_of(read_limited(self._file, MAX_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else str(error)) or "not readable"
            log.warning(
                "the file of the sets that were fully applied cannot be used and is replaced",
                file=str(self._file),
                reason=reason,
            )
            return None


def _digests_of(content: bytes) -> Mapping[str, str]:
    """Decode the file. Raises `ValueError`."""
    try:
        document: Any = json_strict.loads(content)
    except ValueError as error:
        raise ValueError("not valid JSON") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ValueError(f"not a document of the kind {KIND}")
    if document.get("formatVersion") != FORMAT_VERSION:
        raise ValueError(f"not of the format {FORMAT_VERSION}, which this aliasctl reads")
    sets = document.get("sets")
    if not isinstance(sets, dict) or not all(isinstance(digest, str) for digest in sets.values()):
        raise ValueError("sets is no mapping of names to digests")
    return sets
