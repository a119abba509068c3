"""Text from outside, made safe to show: Milvus Lite accepts any alias name, terminal escape codes included."""


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey: what is not printable appears as an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
