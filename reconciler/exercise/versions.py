"""The versions of Milvus that behave as a server was seen to."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from reconciler.catalog.server_behaviour import END, TABLE, Range, range_words
from reconciler.catalog.server_version import OLDEST, Product, ServerVersion


def versions_like(shown: Mapping[str, bool], within: ServerVersion | None = None) -> str:
    """Return the versions for which the table of server behaviour has what a server showed, in words; "" for none.

    Args:
        shown: rows of the table that were observed, each with whether the server behaves so.
        within: the versions that it can have; None for any.
    """
    rows = [row for row in TABLE if row.product is Product.MILVUS]
    bounds = sorted({OLDEST, END, *(bound for row in rows for each in row.ranges for bound in each)})
    like: list[Range] = []
    for first, end in pairwise(bounds):
        if within and not (first <= within.highest and within.lowest < end):
            continue
        behaves = {row.name: any(start <= first < stop for start, stop in row.ranges) for row in rows}
        if any(behaves[name] is not seen for name, seen in shown.items()):
            continue
        start = like.pop()[0] if like and like[-1][1] == first else first
        like.append((start, end))
    return " or ".join(range_words(first, end) for first, end in like)
