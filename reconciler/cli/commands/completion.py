"""`aliasctl completion`: the script that lets a shell complete commands, options, files and names."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from reconciler.cli.help_page import Command

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_ALIASCTL_COMPLETE"


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a shell completion script.

    \b
    Examples:
      aliasctl completion bash \\
        > ~/.local/share/bash-completion/completions/aliasctl
      aliasctl completion zsh > ~/.zfunc/_aliasctl
      aliasctl completion fish > ~/.config/fish/completions/aliasctl.fish

    Bash needs version 4.4 or later.
    """
    click.echo(SHELLS[shell](context.find_root().command, {}, "aliasctl", VARIABLE).source())
