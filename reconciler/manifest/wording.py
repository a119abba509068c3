"""Small pieces of the sentences that tell a user what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def quoted(text: str) -> str:
    """A user's text on one line, in quotes, cut to 60 characters."""
    short = text if len(text) <= 60 else text[:59] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short) + '"'


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "collection"?` where a known word is close to what was written, and nothing otherwise."""
    meant = closest(word, known)
    return f'; did you mean "{meant}"?' if meant else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that someone who wrote `word` probably meant."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def one_of(words: Iterable[str]) -> str:
    """`"a" or "b"`."""
    return " or ".join(f'"{word}"' for word in words)
