"""Carry out one step: re-read the alias, make the call, and determine its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.catalog.port import Catalog
from reconciler.core.errors import (
    AliasAlreadyExists,
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    JournalError,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.core.plan import Step, describe_location
from reconciler.core.report import Outcome

RATE_LIMIT_ATTEMPTS = 5
RATE_LIMIT_SECONDS = 30.0

ALIAS_MOVED = "AliasMoved"
"""The code of a step whose alias is no longer where the plan found it."""

MAY_STILL_ACT = "a call that was sent may still take effect"


NO_ANSWER = (ConnectionFailed, CallTimedOut)
"""Errors after which the next call may take a whole timeout as well."""


@dataclass(frozen=True, slots=True)
class End:
    """The outcome of one attempt: fields of `StepResult`, and what its last read found.

    `unanswered`: it got no answer. `third_place`: where the alias was, in words, if that is neither end of the step.
    """

    outcome: Outcome
    code: str | None = None
    message: str | None = None
    wrote: bool = False
    unanswered: bool = False
    third_place: str = ""


def attempt(step: Step, catalog: Catalog, intend: Callable[[], None]) -> End:
    """Re-read the alias, make the call, read again after an error; repeat all of it while the server limits the rate.

    Args:
        step: the change.
        catalog: its database.
        intend: records the intent. It is called before the read, so that the window between read and call stays short;
            if it raises, the call is not made.
    """
    from tenacity import (  # imported here because it is slow to import and plans do not need it
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        stop_after_delay,
        wait_exponential,
        wait_random,
    )

    attempts = _Attempts(step, catalog)
    try:
        intend()
        for try_again in Retrying(
            retry=retry_if_exception_type(RateLimited),
            stop=stop_after_attempt(RATE_LIMIT_ATTEMPTS) | stop_after_delay(RATE_LIMIT_SECONDS),
            wait=wait_exponential(multiplier=0.1, max=5.0) + wait_random(0, 1),
            reraise=True,
        ):
            with try_again:
                return attempts.make()
    except CatalogError as error:
        if attempts.limited:
            return _after_trouble(step, catalog, attempts.limited)
        message = f"{error}; the alias was not changed"
        return End(Outcome.FAILED, error.code, message, unanswered=isinstance(error, NO_ANSWER))
    except JournalError as error:
        return End(Outcome.FAILED, error.code, f"{error}; nothing was changed")
    raise AssertionError("unreachable: the loop returns or raises")


class _Attempts:
    """Attempts of one step. `limited` is the last call that was answered with `RateLimited`.

    Servers do not act then, but a gateway may say so after the server acted.
    """

    def __init__(self, step: Step, catalog: Catalog) -> None:
        self._step = step
        self._catalog = catalog
        self.limited: RateLimited | None = None

    def make(self) -> End:
        """Re-read the alias once and make one call.

        Raises:
            CatalogError: the read failed, or the server answered `RateLimited`.
        """
        step = self._step
        current = where(step.alias, self._catalog)
        if _is_done(step, current, self._catalog):
            return _acted(self.limited) if self.limited else End(Outcome.NOOP)
        if current != step.current:
            found, planned = describe_location(current), step.location
            moved = f"the alias is {found} now, not {planned} as planned; it was left alone"
            return End(Outcome.FAILED, ALIAS_MOVED, moved, third_place=found)
        try:
            return _call(step, self._catalog)
        except RateLimited as error:
            self.limited = error
            raise
        except CatalogError as error:
            return _after_trouble(step, self._catalog, error)


def _call(step: Step, catalog: Catalog) -> End:
    if step.desired is None:
        catalog.drop_alias(step.alias)
    elif step.current is None:
        return _create(step, step.desired, catalog)
    else:
        catalog.alter_alias(step.alias, step.desired)
    return End(Outcome.DONE, wrote=True)


def _create(step: Step, collection: str, catalog: Catalog) -> End:
    """Create the alias; if it exists but no read shows it, it is dangling, and an alter repairs it.

    Measured on Milvus 2.3.5: an alias whose collection was dropped is hidden from every list and from describe; create
    answers 1602, and alter works.
    """
    try:
        catalog.create_alias(step.alias, collection)
    except AliasAlreadyExists as error:
        try:
            place = where(step.alias, catalog)
        except CatalogError:
            raise error from None  # the create was refused, and nothing else is known
        if place is not None:
            raise AliasAlreadyExists(f"{error}, {describe_location(place)}") from None
        catalog.alter_alias(step.alias, collection)
        message = "the alias was dangling: its collection is gone; it was altered, not created"
        return End(Outcome.DONE, message=message, wrote=True)
    return End(Outcome.DONE, wrote=True)


def _after_trouble(step: Step, catalog: Catalog, error: CatalogError) -> End:
    """Read the alias after a call that failed or was not answered; only the catalog knows whether it took effect."""
    refused, limited = not may_have_acted(error), isinstance(error, RateLimited)
    late = "" if refused else f"; {MAY_STILL_ACT}"
    try:
        current = where(step.alias, catalog)
        done = _is_done(step, current, catalog)
    except CatalogError as unreadable:
        message = f"{error}; and the alias could not be read back: {unreadable}{late}"
        unanswered = isinstance(unreadable, NO_ANSWER)
        if refused and not limited:
            return End(Outcome.FAILED, error.code, message, unanswered=unanswered)
        return End(Outcome.UNKNOWN, error.code, message, True, unanswered)
    if done:
        if refused and not limited:
            return End(Outcome.NOOP, message=f"{_despite(error)}: someone else moved it")
        return _acted(error)
    if current != step.current:
        found = describe_location(current)
        message = f"{error}; the alias is {found} now, moved by someone else{late}"
        return End(Outcome.FAILED, error.code, message, wrote=not refused, third_place=found)
    message = f"{error}; the alias is still {step.location}{late}"
    return End(Outcome.FAILED, error.code, message, wrote=not refused)


def _is_done(step: Step, current: str | None, catalog: Catalog) -> bool:
    """Return whether an alias that points to `current` is where it should be; a dangling one is not gone yet."""
    return current == step.desired and not (step.dangling and catalog.dangles(step.alias) is not False)


def _acted(error: CatalogError) -> End:
    return End(Outcome.DONE, message=_despite(error), wrote=True)


def _despite(error: CatalogError) -> str:
    return f"the call ended with an error ({error}), but the alias is where it should be"


def may_have_acted(error: CatalogError) -> bool:
    """Return whether a call that failed with this error may have taken effect or still may."""
    return isinstance(error, (*NO_ANSWER, UnexpectedAnswer))


def in_the_meantime(place: str) -> str:
    """Return that someone else moved the alias to a third place, `place` in words; it may be elsewhere now."""
    return f"in the meantime it was {place}"


def where(alias: str, catalog: Catalog) -> str | None:
    """Return the collection that an alias points to now."""
    collection = catalog.resolve(alias)
    return collection.name if collection else None
