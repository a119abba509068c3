"""Read the entries of a journal as JSON, and write journals that others may have changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from reconciler.journal import Journal


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a journal, in the order in which they were recorded."""
    return [json.loads(text) for (text,) in rows(path, "SELECT text FROM entry ORDER BY number")]


def rows(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a query on a journal, and commit what it changes."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(query, values).fetchall()
        connection.commit()
        return found


def write(path: Path, entries: Iterable[Mapping[str, Any] | str]) -> None:
    """Replace a journal by one with these entries; by text as it is, where an entry is no document."""
    text = "".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries)
    write_text(path, text.encode())


def write_text(path: Path, text: bytes) -> None:
    """Replace a journal by what is imported of a text journal."""
    for left in path.parent.glob(f"{path.name}-*"):  # of a run that did not end
        left.unlink()
    path.unlink(missing_ok=True)
    path.write_bytes(text)
    Journal(path).decisions()
    path.with_name(f"{path.name}.backup").unlink(missing_ok=True)
