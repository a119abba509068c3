"""Text for people: quantities, lists, shortened and quoted text from outside, and the closest known word.

Milvus Lite accepts any alias name, terminal escape codes included.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

MAX_DIGITS = 6


def printable(text: str) -> str:
    """Return text that a terminal shows and does not obey: what is not printable appears as an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines with each line `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def counted(number: int, noun: str) -> str:
    """Return a quantity: 1 alias, 2 aliases, 2,000 rows, 3 queries."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def rounded(value: float, *limits: float, digits: int = 1) -> str:
    """Return a number in few digits, but enough to tell it from every limit that it does not equal: 94.96 from 95."""
    while digits < MAX_DIGITS and any(round(value, digits) == limit != value for limit in limits):
        digits += 1
    return f"{value:,.{digits}f}"


def shortened(text: str, length: int = 60) -> str:
    """Return a text of at most `length` characters, ending in an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def quoted(text: str) -> str:
    """Return the beginning of a user's text on one line, in quotes."""
    return f'"{printable(shortened(text))}"'


def unusual_character(text: str) -> str:
    """Return the code point and name of the first character that is not ASCII, such as a look-alike of a Latin letter.

    Returns:
        ` (contains U+043E CYRILLIC SMALL LETTER O)`; empty where every character is ASCII.
    """
    found = next((character for character in text if not character.isascii()), "")
    return f" (contains {code_point(found)})" if found else ""


def code_point(character: str) -> str:
    """Return the number and the Unicode name of a character: `U+FEFF ZERO WIDTH NO-BREAK SPACE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def listed(parts: Sequence[str], shown: int = 5, separator: str = ", ") -> str:
    """Return the first parts and the number of the others: "a, b and 3 more", or "x; y; and 3 more" of clauses."""
    text = separator.join(parts[:shown])
    conjunction = " and" if separator == ", " else f"{separator}and"
    return f"{text}{conjunction} {len(parts) - shown:,} more" if len(parts) > shown else text


def alternatives(words: Iterable[str]) -> str:
    """Return `"a" or "b"`."""
    return " or ".join(f'"{word}"' for word in words)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelt one probably stands for, if there is any."""
    from difflib import get_close_matches  # needed for wrong input only

    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "collection"?` if a known word is close, else nothing."""
    meant = closest(word, known)
    return f'; did you mean "{meant}"?' if meant else ""
