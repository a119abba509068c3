"""Options that several commands share, each declared once.

Options that belong together are a group: the command gets their values as one record. Options about output set up the
`Output` in click's context instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.help_page import LOGGING, MANIFESTS, OUTPUT, PLAN, TARGET, set_heading
from reconciler.cli.output import Output
from reconciler.cli.values import (
    alias_name,
    connection_name,
    duration,
    file_name,
    file_path,
    format_file,
    gate_alias,
    variable,
    word,
)
from reconciler.core.options import Options
from reconciler.manifest import Overrides
from reconciler.render.formats import FORMATS, TEXT, Format
from reconciler.service.logging import LEVELS, configure_logging_when_needed

Command = TypeVar("Command", bound=Callable[..., Any])


def chained(*options: Callable[[Command], Command], heading: str = "") -> Callable[[Command], Command]:
    """Return a decorator that declares all these options, in this order on the help page, perhaps under a heading."""

    def decorate(command: Command) -> Command:
        known = len(vars(command).get("__click_params__", ()))
        for option in reversed(options):
            command = option(command)
        for parameter in vars(command)["__click_params__"][known:] if heading else ():
            set_heading(parameter, heading)
        return command

    return decorate


def option_group(
    parameter: str, record: Callable[..., object], *options: Callable[[Any], Any], heading: str = ""
) -> Callable[[Any], Any]:
    """Return a decorator that declares options whose values the command gets as one record.

    Args:
        parameter: of the command, for the record.
        record: called with the values of its parameters' names; a group in the group gives it a record.
        heading: of the options on the help page.
    """
    names = signature(record).parameters

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_record(*arguments: Any, **values: Any) -> Any:
            group = {name: values.pop(name) for name in names if name in values}
            return command(*arguments, **values, **{parameter: record(**group)})

        decorated: Callable[..., Any] = chained(*options, heading=heading)(with_record)
        return decorated

    return decorate


name_option = partial(click.option, type=word, metavar="NAME")


def variable_option(flag: str, *, help: str) -> Callable[[Command], Command]:  # noqa: A002 - click's name
    """Return an option for the name of an environment variable that holds a secret."""
    return click.option(flag, type=variable(flag), metavar="NAME", help=help)


file_option = partial(click.option, metavar="FILE")
publish_option = file_option(
    "--publish", type=file_path, help="Keep in FILE which collection each alias points to, for query encoders."
)


def _filename_option(name: str, also: str = "") -> Callable[[Any], Any]:
    return click.option(
        "-f",
        "--filename",
        name,
        multiple=True,
        type=file_name,
        metavar="PATH",
        help=f"A manifest, a folder of manifests (recursive), or - for standard input{also}. Can be repeated.",
    )


filename_option = chained(_filename_option("paths"), heading=MANIFESTS)
"""The manifests of a command whose arguments are something else."""


def manifest_paths(filenames: tuple[str, ...], arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of `-f` and the arguments, which mean the same."""
    return (*filenames, *arguments)


def required_paths(filenames: tuple[str, ...], arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths as `manifest_paths` does. Raises `UsageError`: there are none."""
    if paths := manifest_paths(filenames, arguments):
        return paths
    raise click.UsageError("Missing manifests: give PATH, or -f PATH", click.get_current_context())


def manifest_options(
    paths: Callable[[tuple[str, ...], tuple[str, ...]], object], parameter: str = "paths", metavar: str = "[PATH]..."
) -> Callable[[Any], Any]:
    """Return the options for manifests: `-f`, and arguments.

    Args:
        paths: called with the paths of both.
        parameter: of the command, for what `paths` returns.
        metavar: of the arguments.
    """
    return option_group(
        parameter,
        paths,
        _filename_option("filenames", "; PATH alone means the same"),
        click.argument("arguments", nargs=-1, type=file_name, metavar=metavar),
        heading=MANIFESTS,
    )


manifest_option = manifest_options(required_paths)
optional_manifest_option = manifest_options(manifest_paths)


_database_option = name_option("--database", help="Use this database for every set.")
_connection_option = name_option("--connection", type=connection_name, help="Use this MilvusConnection for every set.")
target_options = option_group(
    "flags",
    Overrides,
    name_option("--uri", metavar="URI", help="Server address or Milvus Lite file; drops the manifest's token and TLS."),
    variable_option("--token-env", help="Environment variable that holds the token."),
    file_option("--token-file", type=file_name, help="File that holds the token."),
    file_option("--tls-ca", type=file_name, help="PEM file of the certificate authority."),
    file_option("--tls-cert", type=file_name, help="PEM file of the client certificate."),
    file_option("--tls-key", type=file_name, help="PEM file of the client key."),
    name_option("--tls-server-name", help="Name to expect in the server's certificate."),
    _database_option,
    _connection_option,
    click.option("--timeout", type=duration(), help="Timeout of one call, such as 10s.", metavar="DURATION"),
    click.option(
        "--concurrency", type=click.IntRange(1, 64), metavar="N", help="Maximum calls in flight; Milvus Lite: always 1."
    ),
    heading=TARGET,
)
"""Settings of the servers, which take precedence over the manifests."""
set_target_options = option_group("overrides", Overrides, _connection_option, _database_option, heading=TARGET)
"""The settings that choose among the connections and databases of the manifests."""

include_suspended_option = click.option("--include-suspended", is_flag=True, help="Include suspended sets.")
plan_options = option_group(
    "run",
    Options,
    name_option(
        "--only",
        type=alias_name,
        multiple=True,
        metavar="ALIAS",
        help="Plan only this alias, in any wave. Can be repeated.",
    ),
    name_option(
        "--allow-protected", type=alias_name, multiple=True, help="Let this protected alias move. Can be repeated."
    ),
    click.option("--max-drops", type=click.IntRange(min=0), metavar="N", help="Override limits.maxDrops in all sets."),
    include_suspended_option,
    click.option(
        "--skip-gate",
        "skip_gates",
        type=gate_alias,
        multiple=True,
        metavar="GATE:ALIAS",
        help="Skip this gate for this alias, and record that. Can be repeated.",
    ),
    click.option(
        "--retry-rejected",
        is_flag=True,
        help="Retry moves that an earlier run reverted, and ignore waves it could not verify.",
    ),
    heading=PLAN,
)
"""What the run may do beyond the manifests."""


def listen_option(default: str, *, help: str) -> Callable[[Command], Command]:  # noqa: A002 - click's name
    """Return the option for the address that a long-running command serves at."""
    return click.option("--listen", default=default, show_default=True, metavar="HOST:PORT", help=help)


no_status_page_option = click.option(
    "--no-status-page", is_flag=True, help="Do not serve the status page, which needs no login."
)
allow_host_option = click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    type=word,
    metavar="NAME",
    help="Host name that requests may use, besides IP addresses and names without a dot. Can be repeated.",
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Skip confirmation.")
journal_option = file_option(
    "--journal",
    type=file_path,
    envvar="ALIASCTL_JOURNAL",
    show_envvar=True,
    help="Journal of all runs; by default in the user's state folder.",
)


def _names(*, views: bool, records: bool, tables: bool, problems: bool = False) -> list[str]:
    """Return the formats that need nothing in particular, or something that the result has."""
    return [
        each.name
        for each in FORMATS.values()
        if each.renders(views=views, records=records, tables=tables, problems=problems)
    ]


def _set_format(context: click.Context, _parameter: click.Parameter, name: str) -> None:
    context.ensure_object(Output).format = FORMATS[name]


def _add_files(context: click.Context, _parameter: click.Parameter, files: Iterable[tuple[Format, Path]]) -> None:
    context.ensure_object(Output).files.extend(files)


def _set_color(context: click.Context, _parameter: click.Parameter, no_color: bool) -> None:
    context.ensure_object(Output).color &= not no_color


def format_option(
    *, views: bool = False, records: bool = False, tables: bool = False, problems: bool = False
) -> Callable[[Command], Command]:
    """Return the option `--format`; it is read first, so that errors of other options are printed in that format.

    Args:
        views: whether the result is a plan or a report, which more formats can render.
        records: whether it is the history, which can be exported.
        tables: whether it has tables.
        problems: whether it is what is wrong with manifests, which GitHub can show beside their lines.
    """
    return chained(
        click.option(
            "-o",
            "--format",
            type=click.Choice(_names(views=views, records=records, tables=tables, problems=problems)),
            default=TEXT.name,
            show_default=True,
            is_eager=True,
            expose_value=False,
            callback=_set_format,
            help="Output format.",
        ),
        heading=OUTPUT,
    )


color_option = chained(
    click.option(
        "--no-color", is_flag=True, is_eager=True, expose_value=False, callback=_set_color, help="Turn colors off."
    ),
    heading=OUTPUT,
)


def result_options(*, views: bool = False, records: bool = False, tables: bool = False) -> Callable[[Command], Command]:
    names = _names(views=views, records=records, tables=tables)
    return chained(
        format_option(views=views, records=records, tables=tables),
        click.option(
            "--output",
            type=format_file(names),
            multiple=True,
            expose_value=False,
            callback=_add_files,
            metavar="FORMAT=FILE",
            help=f"Also write the result to a file, as {', '.join(names[:-1])} or {names[-1]}. Can be repeated.",
        ),
        color_option,
        heading=OUTPUT,
    )


def log_options(
    log_format: str = "console", level: str = "warning", configure: Callable[..., None] = configure_logging_when_needed
) -> Callable[[Any], Any]:
    """Return the options of the log, which is configured before the command runs.

    `configure`: called with the format, the level, and whether to color the log.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_log(*arguments: Any, log_format: str, log_level: str, **values: Any) -> Any:
            output = click.get_current_context().ensure_object(Output)
            configure(log_format, log_level, color=output.has_color(sys.stderr))
            return command(*arguments, **values)

        return chained(
            click.option(
                "--log-format",
                type=click.Choice(["console", "json"]),
                default=log_format,
                show_default=True,
                help="Log format.",
            ),
            click.option(
                "--log-level", type=click.Choice(LEVELS), default=level, show_default=True, help="Minimum log level."
            ),
            heading=LOGGING,
        )(with_log)

    return decorate
