"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli import output
from reconciler.core.options import Options
from reconciler.gates import GATES
from reconciler.manifest import Overrides
from reconciler.manifest.durations import parse_duration
from reconciler.service.logging import LEVELS, configure_logging_when_needed

Command = TypeVar("Command", bound=Callable[..., Any])


def word(text: str) -> str:
    """A value that is not empty: an unset variable of a pipeline must not pass for no wish at all."""
    if not text:
        raise click.BadParameter("is empty")
    return text


def file_path(text: str) -> Path:
    """The path of a file."""
    return Path(word(text))


def duration(text: str) -> float:
    """A duration such as 10s, 1m30s or 500ms, in seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def long_duration(text: str) -> float:
    """A duration of at most 24 hours, in seconds."""
    try:
        return parse_duration(text, hours=24)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def gate_alias(text: str) -> tuple[str, str]:
    """GATE:ALIAS, such as canary:search_products."""
    gate, _, alias = text.partition(":")
    if not alias or gate not in GATES:
        raise click.BadParameter(f"{text!r} is not GATE:ALIAS with GATE one of {', '.join(GATES)}")
    return gate, alias


def format_file(formats: Sequence[str]) -> Callable[[str], tuple[str, Path]]:
    """FORMAT=FILE with one of the formats, such as json=plan.json."""

    def parse(text: str) -> tuple[str, Path]:
        output_format, _, path = text.partition("=")
        if not path or output_format not in formats:
            raise click.BadParameter(f"{text!r} is not FORMAT=FILE with FORMAT one of {', '.join(formats)}")
        return output_format, Path(path)

    return parse


def _chain(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_manifest_option = partial(
    click.option,
    "-f",
    "--filename",
    "paths",
    multiple=True,
    type=word,
    metavar="PATH",
    help="A manifest, a folder of manifests (recursive), or - for standard input; repeats.",
)
manifest_option = _chain(_manifest_option(required=True))
optional_manifest_option = _chain(_manifest_option())

target_options = _chain(
    click.option(
        "--uri",
        type=word,
        metavar="URI",
        help="Server address or Milvus Lite file; drops the manifest's token and TLS.",
    ),
    click.option("--token-env", type=word, metavar="NAME", help="Environment variable that holds the token."),
    click.option("--token-file", type=word, metavar="FILE", help="File that holds the token."),
    click.option("--tls-ca", type=word, metavar="FILE", help="PEM file of the certificate authority."),
    click.option("--tls-cert", type=word, metavar="FILE", help="PEM file of the client certificate."),
    click.option("--tls-key", type=word, metavar="FILE", help="PEM file of the client key."),
    click.option("--tls-server-name", type=word, metavar="NAME", help="Name to expect in the server's certificate."),
    click.option("--database", type=word, metavar="NAME", help="Use this database for every set."),
    click.option("--connection", type=word, metavar="NAME", help="Use this MilvusConnection for every set."),
    click.option("--timeout", type=duration, help="Time for one call, such as 10s.", metavar="DURATION"),
    click.option("--concurrency", type=click.IntRange(1, 64), help="The most calls in flight; Milvus Lite: always 1."),
)
"""Where to find the server, over what the manifests say."""

plan_options = _chain(
    click.option(
        "--only",
        type=word,
        multiple=True,
        metavar="ALIAS",
        help="Look at this alias and no other, whatever its wave; repeats.",
    ),
    click.option(
        "--allow-protected",
        type=word,
        multiple=True,
        metavar="NAME",
        help="Let this protected alias move; repeats.",
    ),
    click.option("--max-drops", type=click.IntRange(min=0), metavar="N", help="In place of every limits.maxDrops."),
    click.option("--include-suspended", is_flag=True, help="Work on suspended sets too."),
    click.option(
        "--skip-gate",
        "skip_gates",
        type=gate_alias,
        multiple=True,
        metavar="GATE:ALIAS",
        help="Do not ask this gate for this alias; recorded; repeats.",
    ),
    click.option(
        "--retry-rejected",
        is_flag=True,
        help="Move aliases again to collections that an earlier run had to move them back from, and go on behind a "
        "wave that it could not verify.",
    ),
)
"""What the run may do beyond the manifests."""

journal_option = click.option(
    "--journal",
    type=file_path,
    envvar="ALIASCTL_JOURNAL",
    show_envvar=True,
    metavar="FILE",
    help="The journal of all runs; by default in the user's state folder.",
)


def _format_option(formats: Sequence[str]) -> Callable[[Command], Command]:
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=output.TEXT,
        show_default=True,
        is_eager=True,
        callback=output.remember_format,
        help="Form of the result on standard output.",
    )


def _output_option(formats: Sequence[str]) -> Callable[[Command], Command]:
    return click.option(
        "--output",
        "outputs",
        type=format_file(formats),
        multiple=True,
        metavar="FORMAT=FILE",
        help=f"Write the result there too, as {', '.join(formats[:-1])} or {formats[-1]}; repeats.",
    )


format_option, output_option = _format_option(output.FORMATS), _output_option(output.FORMATS)
page_format_option, page_output_option = _format_option(output.PAGE_FORMATS), _output_option(output.PAGE_FORMATS)
"""For the commands whose result is a plan or a report."""
color_option = click.option(
    "--no-color",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=output.remember_no_color,
    help="No colours.",
)


def _configure_logging(context: click.Context, _parameter: click.Parameter, value: str) -> str:
    color = output.console(stderr=True).color_system is not None
    configure_logging_when_needed(context.params.get("log_format", "console"), value, color=color)
    return value


log_options = _chain(
    click.option(
        "--log-format",
        type=click.Choice(["console", "json"]),
        default="console",
        show_default=True,
        is_eager=True,
        help="Form of the log on standard error.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default="warning",
        show_default=True,
        callback=_configure_logging,
        help="Least severe log entry to show.",
    ),
)

TARGET_NAMES = (
    "uri",
    "token_env",
    "token_file",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "tls_server_name",
    "database",
    "connection",
    "timeout",
    "concurrency",
)


def overrides(values: dict[str, Any]) -> Overrides:
    """The target options of a call; takes them out of `values`."""
    return Overrides(**{name: values.pop(name) for name in TARGET_NAMES})


def run_options(values: dict[str, Any]) -> Options:
    """The plan options of a call; takes them out of `values`."""
    return Options(
        only=values.pop("only"),
        allow_protected=values.pop("allow_protected"),
        max_drops=values.pop("max_drops"),
        include_suspended=values.pop("include_suspended"),
        skip_gates=values.pop("skip_gates"),
        retry_rejected=values.pop("retry_rejected"),
    )
