"""One server has one address; durations are Go's."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.catalog.address import normalise
from reconciler.core.durations import parse_duration


@pytest.mark.parametrize(
    ("uri", "normal", "address"),
    [
        ("http://milvus", "http://milvus:19530", "milvus:19530"),
        ("https://milvus", "https://milvus:443", "milvus:443"),
        ("HTTPS://Milvus.Example.com/", "https://milvus.example.com:443", "milvus.example.com:443"),
        ("http://milvus.example.com.:09530/", "http://milvus.example.com:9530", "milvus.example.com:9530"),
        ("http://10.0.0.7:1", "http://10.0.0.7:1", "10.0.0.7:1"),
        ("http://my_host-1:65535", "http://my_host-1:65535", "my_host-1:65535"),
        ("http://[::1]", "http://[::1]:19530", "[::1]:19530"),
        ("http://[0:0::0001]:7/", "http://[::1]:7", "[::1]:7"),
        ("https://[2001:DB8::A]", "https://[2001:db8::a]:443", "[2001:db8::a]:443"),
    ],
)
def test_servers(uri: str, normal: str, address: str) -> None:
    assert normalise(uri, Path("/base")) == (normal, address)
    assert normalise(normal, Path("/base")) == (normal, address)


@pytest.mark.parametrize("uri", ["./m.db", "../base/m.db", "/base/m.db", "x/../m.db", ".//m.db"])
def test_lite_files(uri: str) -> None:
    assert normalise(uri, Path("/base")) == ("/base/m.db", "/base/m.db")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("0.5m", 30), ("1s500ms", 1.5), ("59m60s", 3600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "s", "10 s", "-1s", "1d", "1S", "1s ", "1s\n", ".5s", "1.s", "٣s", "0s", "0ms", "3601s", "1h1ms"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration(text)
