"""The product and version number of a server, parsed from what it reports about itself.

A reported version need not begin with a number, or even contain one:

    2.6.4   v2.3.5-lite   pkg/v2.5.4   release/2.4.15-0.1.1   hotfix-2.4.23-20250210-4f3e2d1   2.4-20240407-e0d3c2d9
    milvus_lite-3.2.2   unknown-20260608-7ea6e3526   Zilliz Cloud Vector Database(Compatible with Milvus 2.6)

`pkg/v2.5.4` is in the official images of 2.5.4 and 2.5.5 (milvus-io/milvus#40216), `unknown-…` on Zilliz Cloud. Unknown
parts of a version stay open: `2.6` is any patch of 2.6, and a string without a number is any version at all. Only
numbers from `OLDEST` to `NEWEST` are versions of Milvus: `release-24.8.1` and `10.0.0.5` contain none.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec
from msgspec.structs import replace

Number = tuple[int, int, int]
"""Major, minor and patch."""

HIGHEST_PART = 1_000_000
OLDEST: Number = (2, 0, 0)
NEWEST: Number = (3, HIGHEST_PART, HIGHEST_PART)
"""The versions that the table of server behaviour covers. Other numbers belong to something else, such as a vendor's
own release, or to a Milvus of which nothing is known."""

OLDEST_SUPPORTED: Number = (2, 3, 0)
"""The first version whose aliases can be listed and described (read, not measured)."""

_NUMBER = re.compile(r"(?<![\d.])(\d{1,4})\.(\d{1,2})(?:\.(\d{1,4})(?!\d))?(?!\d)", re.ASCII)
_LITE = re.compile(r"milvus[ _-]lite", re.IGNORECASE)


class Product(StrEnum):
    """The product of a server. `v2.3.5-lite` is Milvus, embedded; `milvus_lite-3.2.2` is Milvus Lite."""

    MILVUS = "Milvus"
    LITE = "Milvus Lite"


class ServerVersion(msgspec.Struct, frozen=True):
    """The range of versions that a server can have; a single one if `lowest` equals `highest`.

    `contradicted_by`: the version that the user states, if the server reports another one.
    """

    product: Product
    lowest: Number
    highest: Number
    contradicted_by: str = ""

    @property
    def known(self) -> bool:
        """Return whether at least major and minor of the version are known."""
        return self.lowest[:2] == self.highest[:2]


def parse_version(reported: str) -> ServerVersion:
    """Return the versions that a version string can mean, wherever in it the number is.

    Several different numbers, as in `acme-3.1.0-milvus-2.4.15`, stand for all versions from the lowest to the highest
    of them, because any of them can be the server's.
    """
    product = Product.LITE if _LITE.search(reported) else Product.MILVUS
    found = [tuple(int(part) for part in match.groups() if part) for match in _NUMBER.finditer(reported)]
    found = [number for number in found if OLDEST <= _filled(number, 0) <= NEWEST]
    if not found:
        return ServerVersion(product, OLDEST, NEWEST)
    return ServerVersion(
        product, min(_filled(number, 0) for number in found), max(_filled(number, HIGHEST_PART) for number in found)
    )


def with_stated(reported: ServerVersion, stated: str) -> ServerVersion:
    """Return the versions that a server can have by what it reports and by what its user states, "" for nothing.

    A stated version narrows the reported range. If it is not in that range, one of them is wrong: all versions from the
    lower to the higher one are possible, so that every guard assumes the worse of both. It is not used on Milvus Lite.
    """
    if not stated or reported.product is Product.LITE:
        return reported
    claim = parse_version(stated)
    lowest, highest = max(reported.lowest, claim.lowest), min(reported.highest, claim.highest)
    if lowest <= highest:
        return replace(reported, lowest=lowest, highest=highest)
    lowest, highest = min(reported.lowest, claim.lowest), max(reported.highest, claim.highest)
    return replace(reported, lowest=lowest, highest=highest, contradicted_by=stated)


def _filled(number: tuple[int, ...], patch: int) -> Number:
    major, minor, *rest = number
    return major, minor, rest[0] if rest else patch
