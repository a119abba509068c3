"""Files of query vectors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from reconciler.core.gates import ContentError
from reconciler.gates.query_vectors import MAX_BYTES, MAX_QUERIES, Query, parse_queries, read_queries


def test_a_query_has_one_vector_or_one_for_each_side_and_perhaps_a_filter() -> None:
    text = (
        '{"vector": [1, 2.5]}\n'
        "\n"
        '{"vector": [0, -1e3], "filter": "lang == \\"en\\" "}\r\n'
        '{"from": [3, 4], "to": [5, 6], "filter": "a \u2028 b"}\n'
    )
    assert parse_queries(text) == (
        Query((1.0, 2.5), (1.0, 2.5)),
        Query((0.0, -1000.0), (0.0, -1000.0), 'lang == "en" '),
        Query((3.0, 4.0), (5.0, 6.0), "a \u2028 b"),
    )


def test_each_side_has_a_length_of_its_own() -> None:
    queries = parse_queries('{"from": [1, 2], "to": [1, 2, 3]}\n{"from": [3, 4], "to": [4, 5, 6]}')
    assert [(len(query.current), len(query.desired)) for query in queries] == [(2, 3), (2, 3)]


SHAPE = 'a query is {"vector": […]} or {"from": […], "to": […]}, and may have a "filter"'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "there is no query in it"),
        ("\n \n", 0, "there is no query in it"),
        ('{"vector": [1]}\n{"vector": [1]', 2, "not JSON: Expecting ',' delimiter at column 15"),
        (
            "version https://git-lfs.github.com/spec/v1\n",
            1,
            'it is a Git LFS pointer; get the file itself with "git lfs pull"',
        ),
        ("[" * 200_000, 1, "not JSON that can be read"),
        ('{"vector": [' + "9" * 5000 + "]}", 1, "not JSON that can be read"),
        ("[1, 2]", 1, SHAPE),
        ("{}", 1, SHAPE),
        ('{"filter": "a"}', 1, SHAPE),
        ('{"from": [1]}', 1, SHAPE),
        ('{"vector": [1], "from": [1], "to": [1]}', 1, SHAPE),
        ('{"vector": [1], "k": 3}', 1, SHAPE),
        ('{"vector": [1], "filter": null}', 1, "filter: not a text"),
        ('{"vector": 1}', 1, "vector: not a list of numbers"),
        ('{"vector": []}', 1, "vector: the vector is empty"),
        ('{"from": [1], "to": []}', 1, "to: the vector is empty"),
        ('{"vector": [1, "2"]}', 1, "vector: element 2 is not a number"),
        ('{"vector": [1, true]}', 1, "vector: element 2 is not a number"),
        ('{"vector": [null]}', 1, "vector: element 1 is not a number"),
        ('{"vector": [NaN]}', 1, "vector: element 1 is not a finite 32-bit number"),
        ('{"vector": [1, -Infinity]}', 1, "vector: element 2 is not a finite 32-bit number"),
        ('{"vector": [1e39]}', 1, "vector: element 1 is not a finite 32-bit number"),
        ('{"vector": [1' + "0" * 400 + "]}", 1, "vector: element 1 is not a finite 32-bit number"),
        ('{"vector": [1, 2]}\n\n{"vector": [1]}', 3, "a vector of length 1; in the first query it is 2"),
        ('{"vector": [1, 2]}\n{"from": [1, 2], "to": [1]}', 2, "a vector of length 1; in the first query it is 2"),
        ('{"vector": [1]}\n' * (MAX_QUERIES + 1), 1001, "more than 1,000 queries; leave some out"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ContentError) as caught:
        parse_queries(text)
    assert (caught.value.line, str(caught.value)) == (line, message)


def test_a_thousand_queries_are_fine() -> None:
    assert len(parse_queries('{"vector": [1]}\n' * MAX_QUERIES)) == MAX_QUERIES


def test_a_file_is_read_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    content = b"\xef\xbb\xbf" + json.dumps({"vector": [1, 2]}).encode()
    path.write_bytes(content)
    assert read_queries(path) == ((Query((1.0, 2.0), (1.0, 2.0)),), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b'{"vector": [1]}\n\xff', 2, "it is not UTF-8 text"),
        (b"\xff" * (MAX_BYTES + 1), 0, "it has more than 16 MiB; leave some queries out"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, line: int, message: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    with pytest.raises(ContentError) as caught:
        read_queries(path)
    assert (caught.value.line, str(caught.value)) == (line, message)


def test_a_path_that_leads_to_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_queries(tmp_path / "none")
    with pytest.raises(match="it is not a file"):
        read_queries(tmp_path)
