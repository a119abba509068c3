"""`aliasctl set`: point aliases at other collections, by editing one line per alias in the manifests; no network."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from reconciler.cli import inputs, options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.cli.replace_files import Replacement, ensure_replaceable, replace_all
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.fields import NAME_PATTERN
from reconciler.core.model import Source
from reconciler.core.text import counted, printable, quoted
from reconciler.manifest import check, read
from reconciler.manifest.editing import difference, edited
from reconciler.manifest.files import STDIN
from reconciler.manifest.select_entries import Change, chosen
from reconciler.render.documents import edit_document
from reconciler.render.formats import TEXT, Result
from reconciler.render.lines import Line

BYTE_ORDER_MARK = "\ufeff"
STYLES = {"-": "red", "+": "green", "@": "cyan"}


def assignment(text: str) -> tuple[str, str]:
    """Return the parts of ALIAS=COLLECTION, such as search_products=products_v2."""
    alias, _, collection = text.partition("=")
    if not alias or not collection:
        raise click.BadParameter(f"{quoted(text)} is not ALIAS=COLLECTION, such as search_products=products_v2")
    if not re.fullmatch(NAME_PATTERN, collection):
        desired = "a letter or underscore, then letters, digits and underscores, at most 255"
        raise click.BadParameter(f"Milvus takes no collection called {quoted(collection)}; expected {desired}")
    return alias, collection


@click.command("set", cls=Command)
@click.argument(
    "assignments",
    nargs=-1,
    required=True,
    type=values.Completed(assignment, "assignments"),
    metavar="ALIAS=COLLECTION...",
)
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    type=values.file_name,
    metavar="PATH",
    help="A manifest or a folder of manifests (recursive). Can be repeated.",
)
@click.option("--set", "set_name", type=values.set_name, metavar="NAME", help="Edit this AliasSet only.")
@click.option("--check", "dry_run", is_flag=True, help="Write nothing; print the change as a unified diff.")
@options.format_option()
@options.color_option
@options.log_options()
@click.pass_obj
def command(
    output: Output,
    assignments: tuple[tuple[str, str], ...],
    paths: tuple[str, ...],
    set_name: str | None,
    dry_run: bool,
) -> None:
    """Point aliases at other collections, in the manifests.

    No server is changed. In the file, only the line that names the collection changes; in an entry with
    "state: Absent", that line is replaced. If anything is invalid before or after the edit, no alias is set.

    \b
    Examples:
      aliasctl set search_products=products_v2 -f aliases/
      aliasctl set search_products=products_v2 -f aliases/ --check
    """
    desired = _each_once(assignments)
    _require_files(paths)
    manifests = inputs.read_manifests(paths, output)
    check(manifests)
    changes = chosen(manifests, desired, set_name)
    replacements = _replacements([change for change in changes if change.needed])
    _ensure_valid(paths, replacements)
    ensure_replaceable(replacements)
    if not dry_run:
        replace_all(replacements)
    for change in changes:
        if change.needed and change.protected:
            output.say(f"{change.alias.name} is protected: apply will need --allow-protected {change.alias.name}")
    _print(changes, replacements, output, dry_run=dry_run)


def _each_once(assignments: Sequence[tuple[str, str]]) -> dict[str, str]:
    desired: dict[str, str] = {}
    for alias, collection in assignments:
        if desired.setdefault(alias, collection) != collection:
            message = f'alias "{alias}" is given twice, with {desired[alias]} and with {collection}; keep one'
            raise InvalidInput(Problem(message))
    return desired


def _require_files(paths: Sequence[str]) -> None:
    """Raise `InvalidInput` for paths that cannot be edited, such as pipes."""
    problems = []
    for path in paths:
        if path == "-":
            problems.append(Problem("standard input cannot be edited; name the file", Source(STDIN)))
        elif Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            problems.append(Problem("is no regular file and cannot be edited; name one", Source(path)))
    if problems:
        raise InvalidInput(*problems)


def _replacements(changes: Sequence[Change]) -> list[Replacement]:
    """Return the files to write, each with all its changes. Raise `InvalidInput` with the problems of all of them."""
    by_file: dict[str, dict[tuple[str, str], str]] = {}
    for change in changes:
        by_file.setdefault(_place(change).file, {})[change.owner.key, change.alias.name] = change.collection
    problems: list[Problem] = []
    replacements = []
    for name, desired in by_file.items():
        try:
            replacements.append(_replacement(name, desired))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(*problems)
    return replacements


def _replacement(name: str, desired: Mapping[tuple[str, str], str]) -> Replacement:
    before = Path(name).read_bytes()
    try:
        whole = before.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(Problem("was changed while it was read; run it again", Source(name))) from error
    text = whole.removeprefix(BYTE_ORDER_MARK)
    mark = whole[: len(whole) - len(text)]
    return Replacement(name, before, (mark + edited(text, name, desired)).encode())


def _ensure_valid(paths: Sequence[str], replacements: Sequence[Replacement]) -> None:
    """Check all manifests together, as they will be."""
    texts = {replacement.name: replacement.after.decode().removeprefix(BYTE_ORDER_MARK) for replacement in replacements}
    try:
        check(read(paths, edited=texts))
    except InvalidInput as error:
        raise InvalidInput(
            *(
                Problem(f"after this edit: {problem.message}; nothing was written", problem.source)
                for problem in error.problems
            )
        ) from error


def _print(changes: Sequence[Change], replacements: Sequence[Replacement], output: Output, *, dry_run: bool) -> None:
    differences = {
        replacement.name: difference(replacement.name, replacement.before.decode(), replacement.after.decode())
        for replacement in replacements
    }
    if output.format is TEXT and dry_run:
        _print_diff("".join(differences.values()), output)
        output.say(_summary(changes, "to change") + (" Nothing was written." if differences else ""))
        return
    written = bool(differences) and not dry_run
    output.emit(Result(lambda: _lines(changes), lambda: edit_document(changes, differences, written=written)))


def _print_diff(text: str, output: Output) -> None:
    """Print a diff: in color at a terminal, elsewhere byte for byte, so that `git apply` takes it."""
    if not sys.stdout.isatty():
        click.echo(text.encode(), nl=False)
    elif text:
        lines = text.removesuffix("\n").split("\n")
        output.emit(Result(lambda: (Line((printable(line), STYLES.get(line[:1], ""))) for line in lines), dict))


def _lines(changes: Sequence[Change]) -> Iterator[Line]:
    width = max(len(change.alias.name) for change in changes)
    for change in changes:
        sign, style = ("~", "yellow") if change.needed else ("=", "dim")
        move = (
            f"{change.alias.collection or 'absent'} → {change.collection}"
            if change.needed
            else f"{change.collection} already"
        )
        place = printable(str(_place(change)))
        yield Line("  ", (sign, style), f" {change.alias.name:{width}}   {move}   {place}")
    yield Line(_summary(changes, "changed"))


def _summary(changes: Sequence[Change], verb: str) -> str:
    needed = sum(change.needed for change in changes)
    kept = len(changes) - needed
    if not needed:
        return f"No changes. {counted(kept, 'alias')} up to date."
    return f"Set: {needed} {verb}" + (f", {kept} unchanged." if kept else ".")


def _place(change: Change) -> Source:
    return change.alias.source or change.owner.source
