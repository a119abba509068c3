"""What of YAML is read, with which places, and that nothing a file can contain does harm."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.errors import InvalidInput
from reconciler.manifest import read, yaml_marks
from reconciler.manifest.files import MAX_BYTES
from reconciler.manifest.yaml_marks import parse

HEADER = """\
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: search}
spec:
  connectionRef: {name: prod}
"""
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "UTF-16": (HEADER.encode("utf-16"), "this is UTF-16 text; save it as UTF-8"),
    "UTF-16 without a mark": (
        HEADER.encode("utf-16-le"),
        "1:2: the character U+0000 is not text; is this a binary file?",
    ),
    "Latin-1": (b"# gr\xf6\xdfe\n" + HEADER.encode(), "not UTF-8 text (byte 5)"),
    "binary": (b"\x7fELF\x02\x01\x01\x00", "1:1: the character U+007F is not text; is this a binary file?"),
    "NUL": (HEADER.encode() + b"\0", "6:1: the character U+0000 is not text; is this a binary file?"),
    "deep flow": (b"[" * 500, "1:65: nested more than 64 levels deep"),
    "deepest flow": (b"[" * 100_000, "nest"),  # libyaml has had a limit of its own since 0.2.6, with its own words
    "deep blocks": (b"- " * 100_000, "1:129: nested more than 64 levels deep"),
    "bomb": (LAUGHS.encode(), "5:36: the anchors of this file stand for more than 100,000 values"),
}


@pytest.mark.parametrize("data", [HOSTILE[name][0] for name in HOSTILE], ids=HOSTILE)
@pytest.mark.parametrize("parser", [yaml.CSafeLoader, yaml.SafeLoader], ids=["C", "Python"])
def test_hostile_text_gets_one_clear_line(data: bytes, parser: type, monkeypatch: pytest.MonkeyPatch) -> None:
    message = next(message for text, message in HOSTILE.values() if text == data)
    monkeypatch.setattr(yaml_marks, "_LOADER", parser)
    started = time.monotonic()
    with pytest.raises(InvalidInput) as refusal:
        read(["-"], stdin=BytesIO(data))
    assert time.monotonic() - started < 5
    [problem] = refusal.value.problems
    assert message in str(problem)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as stream:
        stream.truncate(50 * 1024**3)
    with pytest.raises(InvalidInput, match=r"huge\.yaml: larger than 16 MiB"):
        read([huge])


def test_endless_standard_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="<stdin>: larger than 16 MiB"):
        read(["-"], stdin=BytesIO(b" " * (MAX_BYTES + 1)))


@given(st.binary())
@example(b"\xef\xbb\xbf")
@example(b"%YAML 9.9\n---\n")
@example(b"? - :\n")
@example(HEADER.encode() + b"  gates: &a [*a]\n")
def test_arbitrary_bytes_are_refused_properly(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(["-"], stdin=BytesIO(data))


@given(st.text(st.sampled_from("{}[]:,-?&*!|>'\"%@`#~ \n\tab01<=."), max_size=60))
def test_arbitrary_yaml_after_a_good_start_is_read_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        read(["-"], stdin=BytesIO((HEADER + "  " + text).encode()))


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    """Nested values with strings from a strategy."""
    scalars = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | text
    return st.recursive(
        scalars, lambda below: st.lists(below) | st.dictionaries(st.text("abc_", min_size=1), below), max_leaves=20
    )


def looks_like_a_number(text: str) -> bool:
    """PyYAML writes `0E0` without quotes; other readers of YAML, and so ours, take it for a number."""
    try:
        float(text)
    except ValueError:
        return text[:1].isdigit()
    return True


TEXT = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]))


@given(values(TEXT))
def test_json_is_read_as_json(value: object) -> None:
    [document], broken = parse(json.dumps(value, indent=1), "x.json")
    assert broken is None
    assert document.root.value == value
    assert document.problems == []


@given(values(TEXT.filter(lambda text: not looks_like_a_number(text))))
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    [document], broken = parse(yaml.safe_dump(value, allow_unicode=True), "x.yaml")
    assert broken is None
    assert document.root.value == value


def test_every_value_and_key_knows_its_place() -> None:
    [_, document], _ = parse('---\n# nothing\n---\nspec:\n  a: &x [1, "é", {"b": two}]\n  c: *x\n', "f")
    root = document.root
    assert str(root.source) == "f:4:1"
    assert str(root.at(("spec", "a")).source) == "f:5:6"
    assert str(root.at(("spec", "a", 1)).source) == "f:5:13"
    assert str(root.at(("spec", "a", 2, "b")).source) == "f:5:24"
    assert str(root.at(("spec", "a", 2)).key_source("b")) == "f:5:19"
    assert str(root.at(("spec", "c", 2, "b")).source) == "f:5:24", "an anchor's value stands where it was written"
    assert root.at(("spec", "missing", "deeper")) is root.at(("spec",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("''", ""),
        ("'7'", "7"),
        ("7", 7),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("!!str 7", "7"),
        ("1.2.3", "1.2.3"),
        ("|\n a\n b\n", "a\nb\n"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    [document], _ = parse(text, "f")
    assert document.root.value == value
    assert type(document.root.value) is type(value)
    assert document.problems == []
