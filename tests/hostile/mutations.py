"""Valid documents made invalid: a value replaced, a key renamed, bytes cut out or put in.

Random text is refused at its first character. What is nearly right goes deep into a reader, so these start from
documents that it takes.
"""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import strategies as st

Json = Any
ESCAPES = ("\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "\u202e", "\x08", "\r", "\x7f", "\u2028")
"""What a terminal would obey, or a reader be deceived by."""
VALUES: tuple[Json, ...] = (
    None,
    True,
    0,
    -1,
    1.0,
    8.5,
    2**31,
    2**63,
    10**400,
    1e308,
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\ufeff",
    "x" * 5000,
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.999999Z",
    "2026-11-23T23:01:60Z",
    "!!python/object/apply:os.system [id]",
    "${HOME}",
    "../../../../etc/passwd",
    "/dev/zero",
    "file:///etc/passwd",
    "http://[::1",
    "http://a:99999",
    "http://user:word@host",
    *ESCAPES,
    [],
    {},
    [[]],
    {"": {}},
    [None, 1, "x"],
)
BYTES: tuple[bytes, ...] = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\r",
    b"\r\n",
    b"\n",
    b"\t",
    b" ",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!python/object/apply:os.system [id]",
    b"!!set {a, b}",
    b"!!binary aGk=",
    b"---\n",
    b"...\n",
    b"%YAML 1.2\n---\n",
    b"? ",
    b": ",
    b"- ",
    b"#",
    b"|\n",
    b'"',
    b"'",
    b"\\ud800",
    b"\\u0000",
    b"\\x1b",
    b"\x1b[2J",
    b"{",
    b"}",
    b"[",
    b"]",
    b"," * 3,
    b"[" * 200,
    b"0x1F",
    b"1_000",
    b"1e999",
    b"9" * 5000,
    b"NaN",
    b"Infinity",
    b"2001-01-01",
    b"yes",
    b"null",
)


def places(document: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a document."""
    yield path
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, below in parts:
        yield from places(below, (*path, name))


@st.composite
def mutated(draw: st.DrawFn, document: Json, most: int = 3) -> Json:
    """A document with up to `most` changes of its structure."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from([path for path in places(document) if path] or [()]))
        if not path:
            return draw(st.sampled_from(VALUES))
        *way, last = path
        holder = document
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "repeat", "swap"])):
            case "replace":
                holder[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            case "remove":
                del holder[last]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from([*(key for key in VALUES if isinstance(key, str)), "extra"]))] = holder.pop(
                    last
                )
            case "repeat" if isinstance(last, int):
                holder.insert(last, copy.deepcopy(holder[last]))
            case _:
                other = draw(st.sampled_from(list(places(document))))
                value = document
                for step in other:
                    value = value[step]
                holder[last] = copy.deepcopy(value)
    return document


@st.composite
def mangled(draw: st.DrawFn, content: bytes, most: int = 4) -> bytes:
    """Bytes with up to `most` changes: something put in, cut out, repeated, or put in place of another part."""
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 1, 2, 5, 20, 100])))
        match draw(st.sampled_from(["put", "cut", "repeat", "flip", "end", "code"])):
            case "put":
                content = content[:start] + draw(st.sampled_from(BYTES)) + content[end:]
            case "cut":
                content = content[:start] + content[end:]
            case "repeat":
                content = content[:end] + content[start:end] + content[end:]
            case "flip" if start < len(content):
                content = content[:start] + bytes([content[start] ^ draw(st.integers(1, 255))]) + content[start + 1 :]
            case "end":
                content = content[:start]
            case _:
                encoding = draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"]))
                content = content.decode("utf-8", "replace").encode(encoding)
    return content


def texts(document: Json) -> st.SearchStrategy[bytes]:
    """A JSON document, changed in its structure, in its bytes, or both."""
    plain = json.dumps(document).encode()
    written = mutated(document).map(lambda changed: json.dumps(changed).encode())
    return written | mangled(plain) | written.flatmap(mangled) | st.binary(max_size=200)


@contextmanager
def bounded(seconds: int = 60) -> Iterator[None]:
    """Ends what does not end by itself; what is done in here takes milliseconds."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
