"""The `aliasctl` command and its exit codes."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from reconciler.cli import output
from reconciler.core.errors import AliasctlError, Interrupted, UsageError
from reconciler.version import __version__

log = logging.getLogger(__name__)

ALLOCATIONS_BETWEEN_COLLECTIONS = 200_000
"""Large catalogs make many objects and hardly a cycle: with Python's own 700, a third of a plan is spent on looking."""


COMMANDS = {
    "apply": "apply:apply",
    "check": "check:check",
    "export": "export:export",
    "graph": "graph:graph",
    "history": "history:history",
    "operator": "operator:operator",
    "plan": "plan:plan",
    "rollback": "rollback:rollback",
    "schema": "schema:schema",
    "set": "set:set_aliases",
    "show": "plan:show",
    "status": "status:status",
    "sync": "sync:sync",
    "validate": "validate:validate",
    "version": "version:version",
}
"""Where each command is, in this package."""


class Commands(click.Group):
    """Imports a command when it is asked for: none waits for what only others need."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"reconciler.cli.{module}"), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", prog_name="aliasctl")
def aliasctl() -> None:
    """GitOps for Milvus collection aliases.

    Write the wanted alias → collection mapping in YAML; see what would change; apply it, safely and repeatably.

    \b
    Exit codes:
      0  done, or nothing to do
      1  error before any write; usage errors too
      2  plan --detailed-exitcode: there are changes
      3  nothing written: a guard refused, or every change is blocked
      4  nothing written: the saved plan is stale
      5  at least one write, and something wanted is not done

    Environment: ALIASCTL_URI, ALIASCTL_TOKEN_ENV and so on stand in for the target options where neither a flag nor a
    manifest says anything. NO_COLOR turns colours off.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the documented codes. Click would end usage errors with 2, which is taken."""
    output.make_streams_safe()
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    try:
        sys.exit(aliasctl.main(arguments, prog_name="aliasctl", standalone_mode=False))
    except click.UsageError as error:
        output.usage_error(error)
    except click.ClickException as error:
        output.failure(UsageError(error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        output.failure(Interrupted("interrupted before any write"))
    except OSError as error:
        if error.filename is None:
            output.give_up_stdout(error)
        else:
            output.failure(AliasctlError(f"{error.filename}: {error.strerror}"))
    except AliasctlError as error:
        output.failure(error)
        sys.exit(error.exit_code)
    except Exception as error:
        log.debug("internal error", exc_info=True)
        output.failure(AliasctlError(f"internal error, please report it: {type(error).__name__}: {error}"))
    finally:
        output.let_go_of_stderr()
    sys.exit(AliasctlError.exit_code)
