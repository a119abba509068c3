"""Files of query vectors for the gate `canary`: JSON Lines, one query per line.

    {"vector": [0.12, -0.5, …], "filter": "lang == \"en\""}
    {"from": [0.12, …], "to": [0.9, …]}

`vector` is searched in both collections. Where they hold embeddings of different models, `from` is the query for the
collection that the alias serves now, and `to` the same for the new one. `filter`, which may be left out, is in Milvus's
language. Empty lines are skipped.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from msgspec import Struct

from reconciler.core.gates import ContentError
from reconciler.files import MIB, FileTooLarge, lfs_pointer, read_limited

MAX_BYTES = 16 * MIB
MAX_QUERIES = 1000
LARGEST_FLOAT = 3.4028234663852886e38
"""Vectors have 32-bit floats; a larger number would become infinity."""

_KEYS = {"vector", "from", "to", "filter"}
_SHAPE = 'a query is {"vector": […]} or {"from": […], "to": […]}, and may have a "filter"'


class Query(Struct, frozen=True):
    """A search on two collections: `current` for the one that the alias serves now, `desired` for the new one."""

    current: tuple[float, ...]
    desired: tuple[float, ...]
    where: str = ""


def read_queries(path: Path) -> tuple[tuple[Query, ...], str]:
    """Read the queries of a file, and the SHA-256 of its bytes in hexadecimal.

    Raises:
        ContentError: its content cannot be used.
        OSError: it cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a name that is not possible for a file
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    if not stat.S_ISREG(mode):
        raise ContentError(0, "it is not a file")
    try:
        content = read_limited(path, MAX_BYTES)
    except FileTooLarge:
        raise _too_large() from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContentError(content.count(b"\n", 0, error.start) + 1, "it is not UTF-8 text") from error
    from hashlib import sha256  # takes 3 ms to load OpenSSL

    return parse_queries(text), sha256(content).hexdigest()


def parse_queries(text: str) -> tuple[Query, ...]:
    """Parse the queries of a text. Raises `ContentError` at the first invalid line."""
    if len(text) > MAX_BYTES:
        raise _too_large()
    if pointer := lfs_pointer(text):
        raise ContentError(1, f"it is {pointer}")
    queries: list[Query] = []
    # Not `splitlines`: a string in JSON may contain line separators that end no line here.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if len(queries) == MAX_QUERIES:
            raise ContentError(number, f"more than {MAX_QUERIES:,} queries; leave some out")
        query = _query(number, line)
        if queries:
            _check_lengths(number, query, queries[0])
        queries.append(query)
    if not queries:
        raise ContentError(0, "there is no query in it")
    return tuple(queries)


def _query(number: int, line: str) -> Query:
    import json  # see `core.json_strict`

    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise ContentError(number, f"not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        raise ContentError(number, "not JSON that can be read") from error
    if not isinstance(content, dict) or not content.keys() <= _KEYS:
        raise ContentError(number, _SHAPE)
    where = content.pop("filter", "")
    if not isinstance(where, str):
        raise ContentError(number, "filter: not a text")
    if content.keys() not in ({"vector"}, {"from", "to"}):
        raise ContentError(number, _SHAPE)
    vectors = {key: _vector(number, key, value) for key, value in content.items()}
    if "vector" in vectors:
        return Query(vectors["vector"], vectors["vector"], where)
    return Query(vectors["from"], vectors["to"], where)


def _vector(number: int, key: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not value:
        raise ContentError(number, f"{key}: not a list of numbers" if value != [] else f"{key}: the vector is empty")
    for place, item in enumerate(value, 1):
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise ContentError(number, f"{key}: element {place} is not a number")
        if not abs(item) <= LARGEST_FLOAT:  # NaN too
            raise ContentError(number, f"{key}: element {place} is not a finite 32-bit number")
    return tuple(map(float, value))


def _check_lengths(number: int, query: Query, first: Query) -> None:
    for found, desired in ((query.current, first.current), (query.desired, first.desired)):
        if len(found) != len(desired):
            raise ContentError(number, f"a vector of length {len(found)}; in the first query it is {len(desired)}")


def _too_large() -> ContentError:
    return ContentError(0, f"it has more than {MAX_BYTES // MIB} MiB; leave some queries out")
