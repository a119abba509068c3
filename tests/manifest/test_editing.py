"""Another collection for an alias, in the text of a manifest: one line differs, and one value."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.errors import InvalidInput
from reconciler.manifest.editing import difference, edited

HEAD = """\
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: search}
spec:
  connectionRef: {name: prod}
  aliases:
"""
NAMES = st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
NEW_NAMES = NAMES | st.sampled_from(["null", "NULL", "true", "Yes", "no", "on", "OFF", "y", "N", "_1", "e5", "NaN"])
REMARKS = st.sampled_from(["", "collection: a", "😀 é", "\t'\"{", "to YAML\u2028# these are\x85# three lines"])
QUOTES = st.sampled_from(["{}", "'{}'", '"{}"'])
BEFORE_SCALAR = st.sampled_from(["", "", "", "!!str ", "&{0} ", "&{0} !!str "])


def listing(*entries: str) -> str:
    """A manifest with these entries, each on a line of its own."""
    return HEAD + "".join(f"    - {entry}\n" for entry in entries)


def set_in(text: str, *, file: str = "a.yaml", **desired: str) -> str:
    return edited(text, file, {("search", alias): collection for alias, collection in desired.items()})


def differing(old: str, new: str) -> list[tuple[str, str]]:
    """The lines that differ, of two texts with as many lines."""
    return [pair for pair in zip(old.split("\n"), new.split("\n"), strict=True) if pair[0] != pair[1]]


def meaning(text: str) -> list[Any]:
    return list(yaml.load_all(text, yaml.CSafeLoader))


@st.composite
def entries(draw: st.DrawFn, alias: str) -> tuple[list[tuple[str, str]], bool]:
    """The fields of an entry, as they are written; and whether it is Absent."""
    absent = draw(st.booleans())
    properties, quote = draw(BEFORE_SCALAR).format(alias), draw(QUOTES)
    aim = draw(QUOTES).format("state" if absent else "collection")
    fields = [
        (draw(QUOTES).format("name"), draw(QUOTES).format(alias)),
        (aim, properties + quote.format("Absent" if absent else draw(NAMES) + "_old")),
    ]
    if draw(st.booleans()):
        fields.append(("wave", str(draw(st.integers(0, 9)))))
    if draw(st.booleans()):
        model = draw(st.sampled_from(['"😀, {collection: x}"', "'it''s'", "größe", '"\\u00e9\\t"']))
        fields.append(("gates", f"{{contract: {{properties: {{model: {model}}}}}}}"))
    return draw(st.permutations(fields)), absent


@st.composite
def manifests(draw: st.DrawFn) -> tuple[str, str, bool]:
    """A manifest in some style, one of its aliases, and whether that one is Absent."""
    aliases = draw(st.lists(NAMES.map(lambda name: f"a_{name}"), min_size=1, max_size=4, unique=True))
    chosen = draw(st.sampled_from(aliases))
    lines, absent = [], {}
    indent = " " * draw(st.integers(2, 6))
    for alias in aliases:
        fields, absent[alias] = draw(entries(alias))
        if draw(st.booleans()):
            lines.append(f"{indent}- {{{', '.join(f'{key}: {value}' for key, value in fields)}}}")
        else:
            gap = draw(st.sampled_from([" ", "   "]))
            lines += [
                f"{indent}{'- ' if number == 0 else '  '}{key}:{gap}{value}"
                for number, (key, value) in enumerate(fields)
            ]
    lines = ["# " + draw(REMARKS), *HEAD.splitlines(), *lines]
    if draw(st.booleans()):
        lines = [
            "apiVersion: v1",
            "kind: ConfigMap",
            "data: {collection: products}",
            "---",
            *lines,
            "...",
            "---",
            "x: 1",
        ]
    comments = ["", "", "  # collection: x", "\t# 😀", "   "]
    text = "".join(line + draw(st.sampled_from(comments)) + "\n" for line in lines)
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text.rstrip("\r\n") if draw(st.booleans()) else text, chosen, absent[chosen]


@given(manifests(), NEW_NAMES)
@example((listing("{name: a, collection: &unused !!str 'v1'}"), "a", False), "null")
def test_one_value_means_something_else_and_one_line_differs(manifest: tuple[str, str, bool], collection: str) -> None:
    text, alias, absent = manifest
    result = set_in(text, **{alias: collection})
    [(old, new)] = differing(text, result)
    desired = meaning(text)
    [spec] = [document["spec"] for document in desired if "spec" in document]
    [entry] = [entry for entry in spec["aliases"] if entry["name"] == alias]
    if absent:
        del entry["state"]
    entry["collection"] = collection
    assert meaning(result) == desired
    assert len(new) - len(old) <= len(collection) + len('"collection"'), "nothing else of the line grew"


@given(manifests())
def test_the_way_back_leads_to_the_same_bytes(manifest: tuple[str, str, bool]) -> None:
    text, alias, absent = manifest
    [old] = [
        entry.get("collection")
        for document in meaning(text)
        if "spec" in document
        for entry in document["spec"]["aliases"]
        if entry["name"] == alias
    ]
    if not absent:
        assert set_in(set_in(text, **{alias: "products_v2"}), **{alias: old}) == text


@pytest.mark.parametrize(
    ("entry", "changed"),
    [
        ("{name: a, collection: v1}  # v1", "{name: a, collection: v2}  # v1"),
        ("{ collection:   'v1' , name: a }", "{ collection:   'v2' , name: a }"),
        (r'{"name":"a","collection":"\x761"}', '{"name":"a","collection":"v2"}'),
        ("{name: a, state: Absent, wave: 2}", "{name: a, collection: v2, wave: 2}"),
        ("{'name': a, 'state': \"Absent\"}", "{'name': a, 'collection': \"v2\"}"),
        ("{name: a, state: Present, collection: v1}", "{name: a, state: Present, collection: v2}"),
        ("{name: a, collection: &mine v1}", "{name: a, collection: &mine v2}"),
        ("{? name : a, ? collection : v1}", "{? name : a, ? collection : v2}"),
    ],
)
def test_the_new_name_is_written_as_the_old_one_was(entry: str, changed: str) -> None:
    assert set_in(listing(entry, "{name: b, collection: v1}"), a="v2") == listing(changed, "{name: b, collection: v1}")


def test_a_plain_name_that_yaml_takes_for_something_else_is_quoted() -> None:
    for name in ("null", "true", "No", "y"):
        assert set_in(listing("{name: a, collection: v1}"), a=name) == listing(f'{{name: a, collection: "{name}"}}')


def test_several_aliases_of_one_line_are_set_together() -> None:
    text = HEAD.rstrip() + " [{name: a, collection: v1}, {name: b, state: Absent}, {name: c, collection: v1}]\n"
    result = set_in(text, c="products_v3", a="products_v2", b="v2")
    assert result.splitlines()[-1] == (
        "  aliases: [{name: a, collection: products_v2}, {name: b, collection: v2}, {name: c, collection: products_v3}]"
    )


def test_json_with_tabs_is_edited_in_place() -> None:
    text = (
        '{\n\t"apiVersion": "aliasctl.dev/v1alpha1",\n\t"kind": "AliasSet",\n\t"metadata": {"name": "search"},\n'
        '\t"spec": {"connectionRef": {"name": "prod"}, "aliases": [\n\t\t{"name": "a",\t"collection": "v1"}\n\t]}\n}'
    )
    assert set_in(text, file="a.json", a="null") == text.replace('"v1"', '"null"')


def test_a_set_inside_a_list_of_kubectl_is_found() -> None:
    inner = listing("{name: a, collection: v1}").replace("\n", "\n    ").rstrip()
    text = f"apiVersion: v1\nkind: List\nitems:\n  - {inner}\n"
    assert set_in(text, a="v2") == text.replace("collection: v1", "collection: v2")


def shared(*lines: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            listing("{name: b, collection: &x v1}", "{name: a, collection: *x}"),
            'a.yaml:8:17: the collection of alias "a" comes from the anchor at a.yaml:7:29, which has other users;'
            " write it out, then set it",
        ),
        (
            listing("{name: a, collection: &x v1}", "{name: b, collection: *x}"),
            'a.yaml:7:17: the collection of alias "a" comes from the anchor at a.yaml:7:29, which has other users;'
            " write it out, then set it",
        ),
        (
            listing("{name: b, wave: 0, state: &x Absent}", "{name: a, state: *x}"),
            'a.yaml:8:17: the state of alias "a" comes from the anchor at a.yaml:7:33, which has other users;'
            " write it out, then set it",
        ),
        (
            shared("- name: a", "  collection: |-", "    v1"),
            'a.yaml:8:7: the collection of alias "a" is not on one line, plain or in quotes; write "v1", then set it',
        ),
        (
            shared("- name: a", "  collection: >-", "    v1"),
            'a.yaml:8:7: the collection of alias "a" is not on one line, plain or in quotes; write "v1", then set it',
        ),
        (
            shared("- name: a", '  collection: "v\\', '    1"'),
            'a.yaml:8:7: the collection of alias "a" is not on one line, plain or in quotes; write "v1", then set it',
        ),
        (
            # The anchor is on a key: what stands there must stay.
            shared("- name: a", "  gates: {contract: {properties: {&x v1 : bge}}}", "  collection: *x"),
            "a.yaml: these aliases cannot be changed here without changing something else; edit the file by hand",
        ),
        (listing("{name: b, collection: v1}"), 'a.yaml: AliasSet "search" no longer lists alias "a"; run it again'),
    ],
    ids=["alias", "anchor", "state", "literal", "folded", "continued", "key", "gone"],
)
def test_what_cannot_be_changed_alone_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        set_in(text, a="v2")
    assert str(refusal.value) == message


def test_everything_unfit_is_told_at_once() -> None:
    text = listing("{name: a, collection: &x v1}", "{name: b, collection: *x}", "{name: c, collection: v1}")
    with pytest.raises(InvalidInput) as refusal:
        set_in(text, c="v2", b="v2", a="v2")
    assert [problem.source.line for problem in refusal.value.problems if problem.source] == [7, 8]


@pytest.mark.parametrize(
    "style",
    [str, lambda text: text.replace("\n", "\r\n"), lambda text: text.rstrip("\n"), lambda text: "\ufeff" + text],
    ids=["plain", "CRLF", "no last line feed", "BOM"],
)
def test_git_applies_the_difference(style: Callable[[str], str], tmp_path: Path) -> None:
    before = style(listing("{name: a, collection: v1}"))
    after = before.replace("v1}", "v2}")
    (tmp_path / "a.yaml").write_bytes(before.encode())
    patch = difference("a.yaml", before, after).encode()
    subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=tmp_path, input=patch, check=True)
    assert (tmp_path / "a.yaml").read_bytes() == after.encode()
    assert difference("a.yaml", before, before) == ""
