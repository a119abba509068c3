"""Lines at a terminal: where they are wrapped, and that nothing is lost."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.lines import MIN_HANG, Line, Part

TEXTS = st.text(st.sampled_from("ab-_,.→é日 "), max_size=120)
PARTS = st.lists(st.tuples(TEXTS, st.sampled_from(["", "red"])) | TEXTS, max_size=5)


def wrapped(*parts: Part, hang: int = 4, width: int = 40) -> list[str]:
    return [line.plain for line in Line(*parts, hang=hang).wrapped(width)]


def test_a_line_breaks_at_words_and_hangs() -> None:
    names = ", ".join(f"market_{number}" for number in range(8))
    assert wrapped("      wave 1   ", names, hang=15) == [
        "      wave 1   market_0, market_1,",
        "               market_2, market_3,",
        "               market_4, market_5,",
        "               market_6, market_7",
    ]


def test_a_column_that_does_not_fit_goes_to_the_next_line_as_a_whole() -> None:
    assert wrapped("    ✓ loaded   ✓ rows (100 %)   ✓ canary (overlap@5 0.9)") == [
        "    ✓ loaded   ✓ rows (100 %)",
        "    ✓ canary (overlap@5 0.9)",
    ]


def test_a_name_is_not_broken_even_if_it_is_wider_than_the_terminal() -> None:
    name = "x" * 50
    assert wrapped(f"  ~ {name}   v1 → v2") == [f"  ~ {name}", "    v1 → v2"]


def test_wide_characters_count_twice() -> None:
    assert wrapped("日" * 15, " ", "日" * 6, hang=0) == ["日" * 15, "日" * 6]


def test_a_hang_that_leaves_no_room_is_not_kept() -> None:
    assert wrapped("x" * 30, "   ", "one two three four", hang=33)[1] == "    one two three four"


def test_styles_stay_with_their_text() -> None:
    first, second = Line("one ", ("two three", "red"), " four", hang=2).wrapped(12)
    assert first == ("one ", ("two", "red"))
    assert second == ("  ", ("three", "red"), " four")


@given(PARTS, st.integers(0, 60), st.integers(10, 80))
def test_no_word_is_lost_broken_or_moved(parts: list[Part], hang: int, width: int) -> None:
    line = Line(*parts, hang=hang)
    pieces = list(line.wrapped(width))
    assert " ".join(piece.plain for piece in pieces).split() == line.plain.split()
    indent = hang if hang <= width // 2 else MIN_HANG
    for piece in pieces:
        words = re.sub("日", "xx", piece.plain).split()
        fits = len(re.sub("日", "xx", piece.plain)) <= width
        assert fits or len(words) <= 2 or indent + len(words[-1]) > width, "a break would have gained room"
