"""Text for people: names from outside made safe to show, and numbers of things.

Milvus Lite accepts any alias name, terminal escape codes included.
"""


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey: what is not printable appears as an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay apart."""
    return "\n".join(map(printable, text.split("\n")))


def counted(number: int, noun: str) -> str:
    """A number of things: 1 alias, 2 aliases, 2,000 rows, 3 queries."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"
