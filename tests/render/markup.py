"""What is in a piece of HTML, as a browser's parser sees it."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser


class Parsed(HTMLParser):
    """The tags with their attributes; each piece of text with the tags that it stands in; the comments."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[tuple[str, tuple[tuple[str, str | None], ...]]] = Counter()
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag, tuple(attrs)] += 1
        if tag not in {"br", "col", "input", "meta"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag, tuple(attrs)] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "tags are closed in order, and none is closed that was not opened"

    def handle_data(self, data: str) -> None:
        self.texts.append((data, tuple(self._open)))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def inside(self, tag: str) -> str:
        """All text that stands in such a tag."""
        return "\n".join(text for text, tags in self.texts if tag in tags)

    @property
    def names(self) -> Counter[str]:
        """How often each tag is there, whatever its attributes."""
        found: Counter[str] = Counter()
        for (name, _), number in self.tags.items():
            found[name] += number
        return found
