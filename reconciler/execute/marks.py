"""Cheap reads that distinguish two collections: a few keys whose rows differ, or else the number of rows.

`describe_collection` cannot show which of them serves readers: on Milvus 2.3.5 it was right while data came from the
old collection (measured). Only data can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError, CollectionNotFound, NotLoaded
from reconciler.core.model import PrimaryKey, Row, Schema

SAMPLED_KEYS = 200
"""Primary keys of each collection that are searched for in the other."""
MARKED_KEYS = 3
"""Keys whose rows are read to see which collection answers."""


class Answer(Enum):
    """The collection that answered a read.

    `THIRD`: neither of the two, although the new one still has the mark. `UNMARKED`: not known, for example after a
    write to the marked rows.
    """

    NEW = auto()
    OLD = auto()
    THIRD = auto()
    UNMARKED = auto()

    @property
    def is_stale(self) -> bool:
        return self in (Answer.OLD, Answer.THIRD)


class Mark(Protocol):
    """A difference between two collections that a read can detect."""

    def read(self, catalog: Catalog, name: str, *, strong: bool = False) -> Answer:
        """Return which of the two collections answers a read through a name now, or `UNMARKED`.

        `strong`: make no read that may miss the newest writes. Raises `CatalogError`.
        """


def answer_through(alias: str, mark: Mark, catalog: Catalog, desired: str) -> Answer:
    """Return which collection answers a read through an alias now.

    If neither does, the desired collection is read by its own name: if that has the mark, and reads through the alias
    still do not find it, a third collection answers. It may have been the alias's for a moment, between the read before
    the move and the move.

    Raises:
        CatalogError: the read through the alias failed. If the other fails, the answer is `UNMARKED`.
    """
    answer = mark.read(catalog, alias)
    if answer is not Answer.UNMARKED:
        return answer
    try:
        if mark.read(catalog, desired, strong=True) is not Answer.NEW:
            return answer
    except CatalogError:
        return answer
    again = mark.read(catalog, alias)  # a mark that was written in the meantime may be back
    return Answer.THIRD if again is Answer.UNMARKED else again


@dataclass(frozen=True, slots=True)
class RowMark:
    """Keys whose rows differ; None for a row that a collection lacks. `old` is empty if that one cannot be read.

    Only rows that the new collection has and the old one lacks prove that the new collection answers.
    """

    primary: str
    fields: tuple[str, ...]
    old: Mapping[PrimaryKey, Row | None]
    new: Mapping[PrimaryKey, Row | None]

    def read(self, catalog: Catalog, name: str, *, strong: bool = False) -> Answer:
        """Implement `Mark`, with a second call if the first finds none of the rows.

        Missing rows may not be visible yet: rows inserted moments before were invisible to weaker reads for up to 0.4 s
        (measured on 2.3.5). So missing rows count only in a strong read, which takes 0.2 s there instead of 2 ms, and
        only if the old collection has none of them; then the old collection has answered.
        """
        answer = Answer.UNMARKED if strong else self._read_rows(catalog, name, strong=False)
        return self._read_rows(catalog, name, strong=True) if answer is Answer.UNMARKED else answer

    def _read_rows(self, catalog: Catalog, name: str, *, strong: bool) -> Answer:
        found = catalog.rows(name, self.primary, tuple(self.new), self.fields, strong=strong)
        rows = {key: _values(found.get(key), self.fields) for key in self.new}
        new = any(rows[key] == row for key, row in self.new.items() if row is not None)
        old = any(rows[key] == row for key, row in self.old.items() if row is not None)
        if new is not old:
            return Answer.NEW if new else Answer.OLD
        old_has_none = bool(self.old) and not any(self.old.values())
        return Answer.OLD if strong and old_has_none and not any(rows.values()) else Answer.UNMARKED


@dataclass(frozen=True, slots=True)
class CountMark:
    """The numbers of rows of two collections."""

    old: int
    new: int

    def read(self, catalog: Catalog, name: str, *, strong: bool = False) -> Answer:  # noqa: ARG002 - each count is
        count = catalog.count(name)
        return Answer.NEW if count == self.new else Answer.OLD if count == self.old else Answer.UNMARKED


def find_mark(catalog: Catalog, current: str, desired: str) -> Mark | str:
    """Find a mark that distinguishes two collections, or return a sentence that says why there is none.

    It takes two calls for the schemas, two for keys and two to look for them in the other collection; two more for
    values where the keys are the same, and two for the counts where the values are. On 2.3.5 all but the schemas take
    0.2 s each (measured).

    Raises:
        CatalogError: for any other reason than the state of the two collections.
    """
    try:
        new = _Side.of(catalog, desired)
    except (NotLoaded, CollectionNotFound) as error:
        return f"{desired} cannot be read: {error}"
    if new is None:
        return f"{desired} has no primary key to read by"
    try:
        old = _Side.of(catalog, current)
    except (NotLoaded, CollectionNotFound):
        old = None  # it cannot be read, so any row of the new one is proof
    if old is None:
        present = _keys_as_rows(new.primary, new.keys[:MARKED_KEYS])
        return RowMark(new.primary, (new.primary,), {}, present) if present else f"{desired} is empty"
    if old.primary != new.primary:
        return _by_count(old, new)  # a filter on the key of one can be an ordinary filter on the other
    return _by_keys(old, new) or _by_values(old, new) or _by_count(old, new)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two collections."""

    catalog: Catalog
    name: str
    schema: Schema
    primary: str
    keys: tuple[PrimaryKey, ...]

    @classmethod
    def of(cls, catalog: Catalog, name: str) -> _Side | None:
        schema = catalog.schema(name)
        if schema.primary is None:
            return None
        primary = schema.primary.name
        return cls(catalog, name, schema, primary, catalog.sample_keys(name, primary, SAMPLED_KEYS))

    @property
    def readable(self) -> set[str]:
        """Return the fields whose values a query returns: Milvus does not return those that BM25 fills.

        Read, not measured (milvus-io/milvus#52234): with one such field, the whole query is refused with code 65535.
        """
        unreadable = {
            name for function in self.schema.functions if function.type == "BM25" for name in function.outputs
        }
        return {field.name for field in self.schema.fields} - unreadable

    def rows(self, keys: Sequence[PrimaryKey], fields: Sequence[str]) -> dict[PrimaryKey, Row]:
        return self.catalog.rows(self.name, self.primary, keys, fields) if keys else {}


def _by_keys(old: _Side, new: _Side) -> Mark | None:
    """Find keys that only the new collection has, and add keys that only the old one has."""
    primary = new.primary
    only_new = _some(set(new.keys) - old.rows(new.keys, (primary,)).keys())
    if not only_new:
        return None
    only_old = _some(set(old.keys) - new.rows(old.keys, (primary,)).keys())
    return _row_mark(primary, (primary,), _keys_as_rows(primary, only_old), _keys_as_rows(primary, only_new))


def _by_values(old: _Side, new: _Side) -> Mark | None:
    """Find a field whose values differ under the same keys; scalars first, because they are shorter.

    The field may be of another type or dimension: vectors of another model are a clear difference.
    """
    keys = new.keys[:MARKED_KEYS]
    shared = old.readable & new.readable - {new.primary}
    ordered = sorted(new.schema.fields, key=lambda field: field.is_vector)
    fields = [field.name for field in ordered if field.name in shared]
    before, after = old.rows(keys, fields), new.rows(keys, fields)
    for name in fields:
        values = [{key: {name: row[name]} for key, row in rows.items() if name in row} for rows in (before, after)]
        if mark := _row_mark(new.primary, (name,), *values):
            return mark
    return None


def _by_count(old: _Side, new: _Side) -> Mark | str:
    counts = old.catalog.count(old.name), new.catalog.count(new.name)
    if counts[0] != counts[1]:
        return CountMark(*counts)
    same = "the same number of rows, and the same keys and values in the rows sampled"
    return f"{old.name} and {new.name} answer alike: {same}"


def _row_mark(
    primary: str, fields: tuple[str, ...], old: Mapping[PrimaryKey, Row], new: Mapping[PrimaryKey, Row]
) -> Mark | None:
    keys = [key for key in old.keys() | new.keys() if _values(old.get(key), fields) != _values(new.get(key), fields)]
    if not keys:
        return None
    before = {key: _values(old.get(key), fields) for key in keys}
    after = {key: _values(new.get(key), fields) for key in keys}
    return RowMark(primary, fields, before, after)


def _values(row: Row | None, fields: Iterable[str]) -> Row | None:
    return None if row is None else {name: row.get(name) for name in fields}


def _keys_as_rows(primary: str, keys: Iterable[PrimaryKey]) -> dict[PrimaryKey, Row]:
    return {key: {primary: key} for key in keys}


def _some(keys: set[PrimaryKey]) -> list[PrimaryKey]:
    """Return the highest keys: often the newest, and so the last to expire."""
    return sorted(keys, key=lambda key: (isinstance(key, str), key))[-MARKED_KEYS:]
