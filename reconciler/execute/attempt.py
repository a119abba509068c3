"""One step: the re-read before the call, the call, and the truth about it afterwards."""

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
"""Errors after which the next call, too, may cost a whole timeout."""


@dataclass(frozen=True, slots=True)
class End:
    """How one attempt ended; the fields are those of `StepResult`, and whether the last read got no answer."""

    outcome: Outcome
    code: str | None = None
    message: str | None = None
    wrote: bool = False
    unanswered: bool = False


def attempt(step: Step, catalog: Catalog, intend: Callable[[], None]) -> End:
    """Re-read, call, and after trouble read again. When the server says "not now", all of it is tried again.

    Args:
        step: the change.
        catalog: its database.
        intend: writes down what is about to happen, before the read and the call, so that the moment between those
            two stays short; what it raises keeps the call from being made.
    """
    from tenacity import (  # later than all the rest: it takes long to import, and plans do not need it
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        stop_after_delay,
        wait_exponential,
        wait_random,
    )

    try:
        intend()
        for try_again in Retrying(
            retry=retry_if_exception_type(RateLimited),
            stop=stop_after_attempt(RATE_LIMIT_ATTEMPTS) | stop_after_delay(RATE_LIMIT_SECONDS),
            wait=wait_exponential(multiplier=0.1, max=5.0) + wait_random(0, 1),
            reraise=True,
        ):
            with try_again:
                return _attempt_once(step, catalog)
    except CatalogError as error:
        message = f"{error}; the alias was left as it was"
        return End(Outcome.FAILED, error.code, message, unanswered=isinstance(error, NO_ANSWER))
    except JournalError as error:
        return End(Outcome.FAILED, error.code, f"{error}; without it nothing is changed")
    raise AssertionError("it ends with a return or an error")


def _attempt_once(step: Step, catalog: Catalog) -> End:
    """One re-read and one call.

    Raises:
        CatalogError: before the call, or `RateLimited`, with which the server says that it did not act.
    """
    current = where(step.alias, catalog)
    if current == step.desired:
        return End(Outcome.NOOP)
    if current != step.current:
        found, planned = describe_location(current), describe_location(step.current)
        moved = f"the alias is {found} now, not {planned} as planned; it was left alone"
        return End(Outcome.FAILED, ALIAS_MOVED, moved)
    try:
        return _call(step, catalog)
    except RateLimited:
        raise
    except CatalogError as error:
        return _after_trouble(step, catalog, error)


def _call(step: Step, catalog: Catalog) -> End:
    if step.desired is None:
        catalog.drop_alias(step.alias)
    elif step.current is None:
        return _create(step, step.desired, catalog)
    else:
        catalog.alter_alias(step.alias, step.desired)
    return End(Outcome.DONE, wrote=True)


def _create(step: Step, collection: str, catalog: Catalog) -> End:
    """Create; an alias that no read can see and that exists all the same is dangling: alter brings it back.

    Measured on Milvus 2.3.5: an alias whose collection was dropped is hidden from every list and from describe, create
    answers 1602, alter works.
    """
    try:
        catalog.create_alias(step.alias, collection)
    except AliasAlreadyExists:
        if where(step.alias, catalog) is not None:
            raise
        catalog.alter_alias(step.alias, collection)
        message = "the alias was dangling: its collection is gone; it was altered, not created"
        return End(Outcome.DONE, message=message, wrote=True)
    return End(Outcome.DONE, wrote=True)


def _after_trouble(step: Step, catalog: Catalog, error: CatalogError) -> End:
    """A call failed or was never answered: only the catalog knows whether it took effect."""
    refused = not may_have_acted(error)
    late = "" if refused else f"; {MAY_STILL_ACT}"
    try:
        current = where(step.alias, catalog)
    except CatalogError as unreadable:
        message = f"{error}; and the alias could not be read back: {unreadable}{late}"
        return End(Outcome.UNKNOWN, error.code, message, True, isinstance(unreadable, NO_ANSWER))
    if current == step.desired:
        message = f"the call ended with an error ({error}), but the alias is where it should be"
        if refused:
            return End(Outcome.NOOP, message=f"{message}: somebody else moved it")
        return End(Outcome.DONE, message=message, wrote=True)
    if current != step.current:
        message = f"{error}; the alias is {describe_location(current)} now, moved by someone else"
        return End(Outcome.FAILED, error.code, message, wrote=not refused)
    message = f"{error}; the alias is still {describe_location(current)}{late}"
    return End(Outcome.FAILED, error.code, message, wrote=not refused)


def may_have_acted(error: CatalogError) -> bool:
    """Whether a call that ended so may have taken effect, or may yet; otherwise the server said that it did not act."""
    return isinstance(error, (*NO_ANSWER, UnexpectedAnswer))


def where(alias: str, catalog: Catalog) -> str | None:
    """The collection that an alias points at now."""
    collection = catalog.resolve(alias)
    return collection.name if collection else None
