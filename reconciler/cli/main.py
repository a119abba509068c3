"""The `aliasctl` command and its exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from reconciler.cli.output import Output, StdoutError, let_go_of_stderr, make_streams_safe
from reconciler.cli.signals import ignore_signals
from reconciler.core.errors import AliasctlError, Interrupted, UsageError
from reconciler.version import __version__

log = logging.getLogger(__name__)

COMMANDS = {
    "approve": "Approve the pending plan of an AliasSet in Kubernetes.",
    "apply": "Apply the manifests to Milvus.",
    "completion": "Print a shell completion script.",
    "check": "Check connectivity, privileges and server behavior.",
    "export": "Print a database's live aliases as manifests.",
    "get": "List the AliasSets of a Kubernetes cluster.",
    "graph": "Draw which alias points at which collection.",
    "history": "Show what earlier runs did.",
    "notify": "Deliver notifications, or send a sample to each receiver.",
    "operator": "Run the Kubernetes operator.",
    "plan": "Show what would change.",
    "rollback": "Undo an earlier run, or move one alias back.",
    "schema": "Print the JSON Schema of a kind.",
    "set": "Point aliases at other collections, in the manifests.",
    "show": "Show a saved plan.",
    "status": "Show desired and live state, one row per alias.",
    "sync": "Run the Git sync agent.",
    "validate": "Check manifests offline.",
    "version": "Print the versions of tool, client and server.",
}
"""The commands, each in the module of its name in `commands`, with the summary that its help starts with."""


SYNONYMS = {"diff": "plan"}
HINTS = {
    "--auto-approve": "--yes skips confirmation",
    "--dry-run": 'use "aliasctl plan", which writes nothing',
    "--target": "--only ALIAS limits a run to an alias; --connection and --database select a server",
}
"""What options of other tools are called here."""


class Commands(click.Group):
    """A group that imports a command when it runs; `--help` imports none."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = SYNONYMS.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"reconciler.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", prog_name="aliasctl")
def aliasctl() -> None:
    """GitOps for Milvus collection aliases.

    Write the desired alias → collection mapping in YAML; see what would change; apply it, safely and repeatably.

    \b
    Exit codes:
      0  done, or nothing to do
      1  error before any write; usage errors too
      2  plan --detailed-exitcode: there are changes;
         status --exit-code: an alias needs attention
      3  nothing written: a guard refused, or every change is blocked
      4  nothing written: the saved plan is stale
      5  at least one write, and not everything desired is done

    Environment: ALIASCTL_URI, ALIASCTL_TOKEN_ENV and so on set target options that neither a flag nor a manifest sets.
    NO_COLOR turns colors off.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with a documented code. Click would end usage errors with 2, which is taken."""
    make_streams_safe()
    output = Output()
    try:
        code = aliasctl.main(arguments, prog_name="aliasctl", standalone_mode=False, obj=output)
        ignore_signals()
        sys.stdout.flush()
        sys.exit(output.exit_code(code or 0))
    except click.UsageError as error:
        _usage_error(error, output)
    except click.ClickException as error:
        output.failure(UsageError(error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        output.failure(Interrupted("interrupted before any write"))
    except StdoutError as error:
        output.give_up_stdout(error)
    except AliasctlError as error:
        output.failure(error)
        sys.exit(error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        output.failure(AliasctlError(f"{place}{error.strerror or _place_of(error)}"))
    except Exception as error:
        log.debug("internal error", exc_info=True)
        output.failure(AliasctlError(f"internal error, please report it: {_place_of(error)}"))
    finally:
        let_go_of_stderr()
    sys.exit(AliasctlError.exit_code)


def _place_of(error: Exception) -> str:
    """Return the type of an error and the line that raised it; its text may hold a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    module = "/".join(Path(place.filename).parts[-3:])
    return f"{type(error).__name__} at {module}:{place.lineno}; --log-level debug shows the traceback"


def _usage_error(error: click.UsageError, output: Output) -> None:
    """Print click's message about a wrong call, with its hint; for a call without arguments, the help page."""
    if isinstance(error, NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    if error.ctx:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    message = " ".join(error.format_message().split())  # click lists choices on lines of their own
    if isinstance(error, click.NoSuchOption) and (hint := HINTS.get(error.option_name)):
        message = f"No such option: {error.option_name}; {hint}"
    output.failure(UsageError(message))
