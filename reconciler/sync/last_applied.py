"""What each set wanted when it was last all in place: it tells what others moved from what is still to be made.

The commit that was applied last does not tell that: a commit may leave a set as it was, and one set of a commit may be
in place while another one waits. So it is kept for each set, and on the disk: a restart must not take back what
somebody moved by hand in a set with `drift: Report`.
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
from reconciler.core.report import ACHIEVED, VERIFICATION_FAILED, Report, StepResult
from reconciler.files import MIB, read_limited, replace_file

KIND = "InPlace"
FORMAT_VERSION = 1
MAX_BYTES = 64 * MIB

log = structlog.get_logger()


class InPlace:
    """See above.

    Args:
        file: where it is kept; only one process may use it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._digests: Mapping[str, str] = {}
        self._written: Mapping[str, str] | None = None
        self._read = False

    def begin(self, applied: Iterable[AliasSet]) -> None:
        """Read the file, unless that was done.

        Args:
            applied: the sets of the commit that is known to be all applied, to go by where there is no file to be used.
        """
        if not self._read:
            self._written = self._load()
            self._digests, self._read = self._written or {}, True
        if self._written is None:
            known = {item.key: spec_digest(item) for item in applied if not item.suspend}
            self._digests = {**known, **self._digests}

    def has(self, alias_set: AliasSet) -> bool:
        """Whether all that a set wants was in place once, so that somebody else has changed what differs now."""
        return self._digests.get(alias_set.key) == spec_digest(alias_set)

    def leave(self, sets: Iterable[AliasSet]) -> None:
        """Say which sets are about to be changed: what another wish had in place is nobody's drift from then on.

        Raises:
            AliasctlError: the file cannot be written.
        """
        left = {alias_set.key for alias_set in sets if not self.has(alias_set)}
        self._keep({key: digest for key, digest in self._digests.items() if key not in left})

    def ended(self, sets: Iterable[AliasSet], planned: Iterable[AliasSet], report: Report) -> None:
        """A run has ended.

        Args:
            sets: all sets that there are; one that has gone, and comes back later, is a new wish.
            planned: those of them that the run was about.
            report: of the run.

        Raises:
            AliasctlError: the file cannot be written.
        """
        if report.plan.refusals:
            return
        present = {alias_set.key for alias_set in sets}
        astray = {result.step.set for result in report.results if not is_there(result)}
        there = {item.key: spec_digest(item) for item in planned if not item.suspend and item.key not in astray}
        self._keep({key: digest for key, digest in self._digests.items() if key in present} | there)

    def _keep(self, digests: Mapping[str, str]) -> None:
        """In one step, and safe on the disk: half a file would be forgotten as a whole."""
        if digests == self._written:
            return
        document = {"kind": KIND, "formatVersion": FORMAT_VERSION, "sets": dict(sorted(digests.items()))}
        try:
            replace_file(self._file, json.dumps(document, indent=2).encode() + b"\n")
        except OSError as error:
            raise AliasctlError(f"{self._file}: cannot be written: {error.strerror}") from error
        self._digests = self._written = digests

    def _load(self) -> Mapping[str, str] | None:
        """What is in the file; None if there is none, or it cannot be used."""
        try:
            return _digests_of(read_limited(self._file, MAX_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else str(error)) or "not readable"
            log.warning(
                "what each set had in place is not known: the file cannot be used, and is made anew",
                file=str(self._file),
                reason=reason,
            )
            return None


def _digests_of(content: bytes) -> Mapping[str, str]:
    """Raises `ValueError`."""
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


def is_there(result: StepResult) -> bool:
    """Whether an alias was moved where it should be; that it is good there is another question."""
    return result.outcome in ACHIEVED or result.code in VERIFICATION_FAILED
