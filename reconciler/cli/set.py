"""`aliasctl set`: another collection for an alias, in the manifests, one line an alias; no server is asked."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from reconciler.cli import inputs, options, output
from reconciler.cli.replacing import Replacement, ensure_replaceable, replace_all
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import NAME_PATTERN, Source
from reconciler.core.text import counted, printable, quoted
from reconciler.manifest import check, read
from reconciler.manifest.editing import difference, edited
from reconciler.manifest.files import STDIN
from reconciler.manifest.select_entries import Change, chosen
from reconciler.render.documents import edit_document

BYTE_ORDER_MARK = "\ufeff"
STYLES = {"-": "red", "+": "green", "@": "cyan"}


def assignment(text: str) -> tuple[str, str]:
    """ALIAS=COLLECTION, such as search_products=products_v2."""
    alias, _, collection = text.partition("=")
    if not alias or not collection:
        raise click.BadParameter(f"{quoted(text)} is not ALIAS=COLLECTION, such as search_products=products_v2")
    if not re.fullmatch(NAME_PATTERN, collection):
        desired = "a letter or underscore, then letters, digits and underscores, at most 255"
        raise click.BadParameter(f"Milvus takes no collection called {quoted(collection)}; expected {desired}")
    return alias, collection


@click.command("set", short_help="Point aliases at other collections, in the manifests.")
@click.argument("assignments", nargs=-1, required=True, type=assignment, metavar="ALIAS=COLLECTION...")
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    type=options.word,
    metavar="PATH",
    help="A manifest or a folder of manifests (recursive); repeats.",
)
@click.option("--set", "set_name", type=options.word, metavar="NAME", help="Look in this AliasSet only.")
@click.option("--check", "dry_run", is_flag=True, help="Write nothing; print the change as a unified diff.")
@options.format_option
@options.color_option
@options.log_options
def set_aliases(
    assignments: tuple[tuple[str, str], ...],
    paths: tuple[str, ...],
    set_name: str | None,
    dry_run: bool,
    output_format: str,
    **_: Any,
) -> None:
    """Point aliases at other collections: in the manifests, not on a server.

    The line that names the collection changes, and nothing else of the file. An entry with "state: Absent" gets the
    collection in its place. All aliases are set or, if anything is wrong before or after the edit, none.

    \b
      aliasctl set search_products=products_v2 -f aliases/
      aliasctl set search_products=products_v2 -f aliases/ --check
    """
    desired = _each_once(assignments)
    _insist_on_files(paths)
    manifests = inputs.read_manifests(paths)
    check(manifests)
    changes = chosen(manifests, desired, set_name)
    replacements = _replacements([item for item in changes if item.needed])
    _ensure_valid(paths, replacements)
    ensure_replaceable(replacements)
    if not dry_run:
        replace_all(replacements)
    for change in changes:
        if change.needed and change.protected:
            output.say(f"{change.alias.name} is protected: apply will want --allow-protected {change.alias.name}")
    _tell(changes, replacements, dry_run, output_format)


def _each_once(assignments: Sequence[tuple[str, str]]) -> dict[str, str]:
    desired: dict[str, str] = {}
    for alias, collection in assignments:
        if desired.setdefault(alias, collection) != collection:
            message = f'alias "{alias}" is given twice, with {desired[alias]} and with {collection}; keep one'
            raise InvalidInput(Problem(message))
    return desired


def _insist_on_files(paths: Sequence[str]) -> None:
    """A pipe can be read once and not be edited."""
    problems = []
    for path in paths:
        if path == "-":
            problems.append(Problem("standard input cannot be edited; name the file", Source(STDIN)))
        elif Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            problems.append(Problem("is no regular file and cannot be edited; name one", Source(path)))
    if problems:
        raise InvalidInput(*problems)


def _replacements(changes: Sequence[Change]) -> list[Replacement]:
    """The files to write, each with all its changes. Raises `InvalidInput` with the problems of all of them."""
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
    """All manifests together, as they will be."""
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


def _tell(changes: Sequence[Change], replacements: Sequence[Replacement], dry_run: bool, output_format: str) -> None:
    differences = {
        replacement.name: difference(replacement.name, replacement.before.decode(), replacement.after.decode())
        for replacement in replacements
    }
    if output_format == output.TEXT and dry_run:
        _print_diff("".join(differences.values()))
        output.say(_summary(changes, "to change") + (" Nothing was written." if differences else ""))
        return
    written = bool(differences) and not dry_run
    result = output.Result(lambda: _lines(changes), lambda: edit_document(changes, differences, written=written))
    output.emit(result, output_format)


def _print_diff(text: str) -> None:
    """A diff is for `git apply` too: off a terminal it is exact to the byte."""
    if not sys.stdout.isatty():
        click.echo(text.encode(), nl=False)
    elif text:
        lines = text.removesuffix("\n").split("\n")
        coloured = (Text(printable(line), STYLES.get(line[:1], "")) for line in lines)
        output.emit(output.Result(lambda: coloured, dict), output.TEXT)


def _lines(changes: Sequence[Change]) -> Iterator[Text]:
    width = max(len(change.alias.name) for change in changes)
    for change in changes:
        sign, style = ("~", "yellow") if change.needed else ("=", "dim")
        move = (
            f"{change.alias.collection or 'absent'} → {change.collection}"
            if change.needed
            else f"{change.collection} already"
        )
        place = printable(str(_place(change)))
        yield Text.assemble("  ", (sign, style), f" {change.alias.name:{width}}   {move}   {place}")
    yield Text(_summary(changes, "changed"))


def _summary(changes: Sequence[Change], verb: str) -> str:
    needed = sum(change.needed for change in changes)
    kept = len(changes) - needed
    if not needed:
        return f"No changes. {counted(kept, 'alias')} as wanted already."
    return f"Set: {needed} {verb}" + (f", {kept} as wanted already." if kept else ".")


def _place(change: Change) -> Source:
    return change.alias.source or change.owner.source
