"""What the records of runs mean for later runs: rejections, unfinished reverts and moves pending verification.

A move is pending verification at its collection until a run has verified it there, reverted it, or moved the alias
elsewhere. A later call that failed, or whose result is not recorded, changes nothing about that.

A decision to revert holds until a run that started after it, and so knew it, has the alias where it was rejected. What
a run that started earlier moves or finds there is the move that is to be reverted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from reconciler.core.decisions import Decisions
from reconciler.core.model import Target
from reconciler.core.plan import PendingRevert, PendingVerification
from reconciler.core.rejections import Rejection
from reconciler.core.report import ACHIEVED, NO_RECORDED_END, Outcome, is_applied, missing_proof
from reconciler.journal.entries import Entry, Intent, Result, RevertDecided, RunStarted
from reconciler.journal.records import Act, PastStep

Alias = tuple[Target, str]
"""An alias of a database."""


@dataclass(slots=True)
class _Account:
    """What one run recorded about one alias. `rejected` has the time and the reason of the decision to revert.

    `started` and `decided`: the positions of its start and its decision among all records.
    """

    run: str
    past: PastStep
    started: int
    rejected: tuple[str, str] | None = None
    decided: int = -1


def decisions_of(records: Iterable[Entry], ended: Container[str]) -> Decisions:
    """Return what records mean for runs that start now.

    Args:
        records: starts, intents, decisions to revert, and results, in the order in which they were recorded.
        ended: the runs whose end is recorded. A move of any other run is not verified: it may still be watched, or its
            process may have died.
    """
    rejected: dict[Alias, Rejection] = {}
    pending: dict[Alias, dict[str, PendingVerification]] = defaultdict(dict)  # by collection, too
    reverts: dict[Alias, PendingRevert] = {}
    decided: dict[Alias, int] = defaultdict(lambda: -1)
    for account in _accounts(records):
        past, step = account.past, account.past.step
        alias = (past.target, step.alias)
        if account.rejected:
            time, reason = account.rejected
            decided[alias] = max(decided[alias], account.decided)
            if step.desired:
                rejected[alias] = Rejection(step.desired, step.desired_id, step.spec_hash, account.run, time, reason)
                pending[alias].pop(step.desired, None)
            reverts.pop(alias, None)
            if past.begun or past.outcome is not Outcome.REVERTED:
                reverts[alias] = PendingRevert(step, account.run, reason)
                if step.desired:
                    pending[alias][step.desired] = PendingVerification(step, account.run, reason)
            continue
        missing = _missing_proof(past, ended=account.run in ended)
        if _is_there(past) and (past.outcome is Outcome.DONE or not missing):
            pending.pop(alias, None)
            knew = account.started > decided[alias]
            if alias in reverts and (knew or reverts[alias].step.desired != step.desired):
                del reverts[alias]
            if alias in rejected and knew and rejected[alias].collection == step.desired:
                del rejected[alias]
        if missing and step.desired:
            pending[alias][step.desired] = PendingVerification(step, account.run, missing)
    flat = {(*alias, collection): item for alias, items in pending.items() for collection, item in items.items()}
    return Decisions(rejected, flat, reverts)


def last_applied(newest: Iterable[Entry]) -> Result | None:
    """Return the result by which an alias is where a run last put it.

    `newest`: the entries about it, newest first. None if the last call that may have moved it failed, was reverted, or
    has no recorded result.
    """
    ended: set[str] = set()
    for entry in newest:
        match entry:
            case Result(result=result) if is_applied(result):
                return entry
            case Result(result=result) if result.outcome is Outcome.FAILED and not result.wrote:
                ended.add(entry.run)
            case Intent(act=act) if act is Act.HEAL or entry.run in ended:
                continue
            case _:
                return None
    return None


def _accounts(records: Iterable[Entry]) -> Iterable[_Account]:
    """Return what each run recorded about each alias, in the order of the last records."""
    found: dict[tuple[str, Alias], _Account] = {}
    started: dict[str, int] = {}
    for position, record in enumerate(records):
        if isinstance(record, RunStarted):
            started[record.run] = position
        elif isinstance(record, Intent | RevertDecided | Result):
            step = record.result.step if isinstance(record, Result) else record.step
            key = (record.run, (record.target, step.alias))
            account = _after(found.pop(key, None), record, position)
            account.started = started.get(record.run, account.started)
            found[key] = account
    return found.values()


def _after(before: _Account | None, record: Intent | RevertDecided | Result, position: int) -> _Account:
    past, rejected = (before.past, before.rejected) if before else (None, None)
    started, decided = (before.started, before.decided) if before else (position, -1)
    match record:
        case Intent():
            past = with_intent(past, record)
            if record.act is Act.REVERT:  # in journals of older versions, this is the decision
                rejected = rejected or (record.time, NO_RECORDED_END)
        case RevertDecided():
            past = past or PastStep(record.target, record.step, None)
            rejected = (record.time, record.reason)
        case Result():
            past = with_outcome(past, record)
            if record.result.outcome is Outcome.REVERTED:
                rejected = (record.time, record.result.message or "")
    if rejected and decided < 0:
        decided = position
    return _Account(record.run, past, started, rejected, decided)


def _is_there(past: PastStep) -> bool:
    """Return whether the record ends with the alias at its desired collection."""
    return past.begun is None and past.outcome in ACHIEVED


def _missing_proof(past: PastStep, *, ended: bool) -> str:
    """Return why an alias that a step may have moved is not verified there; empty if it is, or cannot be there."""
    if recorded := missing_proof(past.result) if past.result else "":
        return recorded
    unfinished = not ended and (_is_there(past) or (past.result is not None and past.result.wrote))
    return NO_RECORDED_END if past.begun or unfinished else ""


def with_intent(before: PastStep | None, entry: Intent) -> PastStep:
    """Return a step after another entry: a call is about to be made."""
    result = before.result if before else None
    begun = before.begun if before and entry.act is Act.HEAL else entry.act
    return PastStep(entry.target, before.step if before and result else entry.step, result, begun)


def with_outcome(before: PastStep | None, entry: Result) -> PastStep:
    """Return a step after another entry: its outcome. Only the intent has its gates."""
    result = entry.result
    step = replace(result.step, gates=before.step.gates) if before else result.step
    return PastStep(entry.target, step, replace(result, step=step))
