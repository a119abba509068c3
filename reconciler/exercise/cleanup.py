"""Leftovers of an earlier run, and the removal of everything that a run has created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from reconciler.catalog.port import SANDBOX_KEY
from reconciler.core.errors import (
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    InvalidInput,
    PermissionDenied,
    Problem,
    UnexpectedAnswer,
)
from reconciler.core.text import quoted
from reconciler.exercise.mark import RUNNING_SECONDS, seconds_since_start
from reconciler.exercise.names import COLLECTIONS, DANGLING, PREFIX

if TYPE_CHECKING:
    from reconciler.catalog.sandbox import Sandbox

CLEANUP_SECONDS = 30.0
"""How long removal is retried while the server does not answer."""
WAIT = 0.5
MAY_PASS = (ConnectionFailed, CallTimedOut, UnexpectedAnswer)


def remove_leftovers(sandbox: Sandbox) -> tuple[str, ...]:
    """Remove what an earlier run left behind; return it.

    Raises:
        InvalidInput: another run may be under way, or something with such a name was not created by a run.
            Nothing is removed then.
        CatalogError: a call failed.
    """
    aliases, collections = _ours(sandbox.alias_names()), _collections(sandbox)
    problems = list(_running(sandbox, collections)) or list(_not_ours(sandbox, aliases, collections))
    if problems:
        raise InvalidInput(*problems)
    _remove_all(sandbox)
    return tuple([f"alias {name}" for name in aliases] + [f"collection {name}" for name in collections])


def clean_up(sandbox: Sandbox) -> tuple[str, ...]:
    """Remove everything whose name begins with `PREFIX`, if this run made any; return what is left, or may be."""
    if not sandbox.made:
        return ()
    retries = Retrying(
        retry=retry_if_exception_type(MAY_PASS),
        stop=stop_after_delay(CLEANUP_SECONDS),
        wait=wait_fixed(WAIT),
        reraise=True,
    )
    with suppress(CatalogError):
        for attempt in retries:
            with attempt:
                _remove_all(sandbox)
    return tuple(f"{noun} {name}" for noun, name in sorted(sandbox.made))


def _remove_all(sandbox: Sandbox) -> None:
    """Drop all aliases, then all collections; what cannot be dropped is an error after all others are gone.

    Afterwards `sandbox.made` has what a read still shows.
    """
    refused: CatalogError | None = None
    aliases = {*_ours(sandbox.alias_names()), *_made(sandbox, "alias"), DANGLING}  # no list shows one that dangles
    for drop, name in [
        *((sandbox.remove_alias, alias) for alias in sorted(aliases)),
        *((sandbox.drop_collection, collection) for collection in _collections(sandbox)),
    ]:
        try:
            drop(name)
        except CatalogError as error:
            if error.transient:
                raise
            refused = error
    if refused:
        raise refused
    aliases = set(_ours(sandbox.alias_names()))
    sandbox.made = {("alias", name) for name in aliases} | {("collection", name) for name in _collections(sandbox)}


def _made(sandbox: Sandbox, noun: str) -> set[str]:
    return {name for kind, name in sandbox.made if kind == noun}


def _ours(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(PREFIX))


def _collections(sandbox: Sandbox) -> list[str]:
    """Return our collections: those that are listed, and those that only a description shows.

    Milvus leaves collections without a grant of the caller out of the list (read); it is denied or empty then.
    """
    try:
        listed = set(_ours(sandbox.collections()))
    except PermissionDenied:
        listed = set()
    unlisted = {*COLLECTIONS, *_made(sandbox, "collection")} - listed
    return sorted(listed | {name for name in unlisted if sandbox.describe(name)})


def _running(sandbox: Sandbox, collections: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem if collections belong to a run that may not have ended."""
    ages = [seconds_since_start(sandbox.schema(collection).description) for collection in collections]
    if recent := [age for age in ages if age is not None and age < RUNNING_SECONDS]:
        yield Problem(
            f"another exercise, started {recent[0]:.0f} s ago, has collections in {sandbox.database}: use another "
            f"--database, or run this again {RUNNING_SECONDS:.0f} s after that start, which removes them"
        )


def _not_ours(sandbox: Sandbox, aliases: Iterable[str], collections: Iterable[str]) -> Iterator[Problem]:
    """Yield what no exercise can have created, and what others have pointed at our collections."""
    remedy = f"drop or rename it, or use another database; names that begin with {PREFIX} are those of this command"
    for alias in aliases:
        found = sandbox.resolve(alias)
        if found and not found.name.startswith(PREFIX):
            yield Problem(f"alias {quoted(alias)} points to {quoted(found.name)}, so it is not a leftover: {remedy}")
    for collection in collections:
        primary = sandbox.schema(collection).primary
        if not primary or primary.name != SANDBOX_KEY:
            yield Problem(f"collection {quoted(collection)} has other fields, so it is not a leftover: {remedy}")
        for alias in sorted(sandbox.aliases_of(collection) or ()):
            if not alias.startswith(PREFIX):
                yield Problem(f"alias {quoted(alias)} points to {quoted(collection)}, a leftover: point it elsewhere")
