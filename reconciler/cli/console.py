"""The console of Rich as this command uses it. Imported only for a terminal: Rich takes long to import."""

from __future__ import annotations

import rich.console


class Console(rich.console.Console):
    """A console that never hides the cursor, so that no signal can leave a terminal without one."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 - Rich's signature
        """Do nothing, and say so."""
        return False

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled; Rich would redirect standard output and exit."""
        raise
