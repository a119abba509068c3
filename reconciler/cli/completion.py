"""What the shell offers after TAB; nothing here prints or fails, and no server is contacted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from reconciler.cli import inputs
from reconciler.core.errors import AliasctlError
from reconciler.journal import Selection
from reconciler.manifest import Manifests, read

OFFERED_RUNS = 50
PATHS = ("paths", "filenames", "arguments")
"""The parameters that hold paths of manifests."""
Completer = Callable[[click.Context, str], list[CompletionItem]]


def files(_context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete files and folders itself."""
    return [CompletionItem(incomplete, type="file")]


def aliases(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer the aliases that the manifests of `-f` list."""
    return _names(context, incomplete, lambda manifests: (alias.name for s in manifests.sets for alias in s.aliases))


def assignments(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer `ALIAS=`; the collection is new, and not known here."""
    return [CompletionItem(f"{item.value}=") for item in aliases(context, incomplete)]


def sets(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer the sets in the manifests of `-f`."""
    return _names(context, incomplete, lambda manifests: (alias_set.key for alias_set in manifests.sets))


def connections(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer the connections in the manifests of `-f`."""
    return _names(context, incomplete, lambda manifests: (name for _, name in manifests.connections))


def runs(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer the newest runs of the journal."""
    return _runs(context, Selection(prefix=incomplete))


def changes(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer the newest runs that changed something, or else files, because a report can be given too."""
    return _runs(context, Selection(prefix=incomplete, changed=True)) or files(context, incomplete)


def _runs(context: click.Context, selection: Selection) -> list[CompletionItem]:
    with suppress(AliasctlError, OSError):
        journal = inputs.journal(context.params.get("journal"))
        return [CompletionItem(run) for run in journal.look_up(selection, OFFERED_RUNS)]
    return []


def _names(
    context: click.Context, incomplete: str, names_in: Callable[[Manifests], Iterable[str]]
) -> list[CompletionItem]:
    given = [path for name in PATHS for path in context.params.get(name) or ()]
    given += context.args  # arguments before an option that has no value yet
    paths = [path for path in given if path != "-"]  # the terminal is standard input
    with suppress(AliasctlError, OSError):
        return [CompletionItem(name) for name in sorted(set(names_in(read(paths)))) if name.startswith(incomplete)]
    return []
