"""The console of Rich as this command uses it. Imported only for a terminal: Rich takes long to import."""

from __future__ import annotations

import rich.console
from rich.text import Text

from reconciler.core.text import printable


class Console(rich.console.Console):
    """A console that never hides the cursor, so that no signal can leave a terminal without one."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 - Rich's signature
        """Do nothing, and say so."""
        return False

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled; Rich would redirect standard output and exit."""
        raise


class Doing:
    """One line with the words of an object, which are read anew each time that it is drawn."""

    def __init__(self, words: object) -> None:
        self._words = words

    def __rich__(self) -> Text:
        return Text(printable(str(self._words)), no_wrap=True, overflow="ellipsis")
