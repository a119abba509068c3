"""Which HTTP proxy is on the way to a server."""

from __future__ import annotations

import pytest

from reconciler.proxy import proxy_of

PROXY = {"http_proxy": "http://proxy:3128"}
NAMED = "http://proxy:3128 (http_proxy)"


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        ("milvus:19530", {}, ""),
        ("/data/milvus.db", PROXY, ""),
        ("milvus:19530", PROXY, NAMED),
        ("milvus:19530", PROXY | {"HTTPS_PROXY": "http://other"}, NAMED),
        ("milvus", PROXY | {"https_proxy": "http://u:p@other"}, "http://other (https_proxy)"),
        ("milvus", PROXY | {"grpc_proxy": "other:1"}, "http://other:1 (grpc_proxy)"),
        ("milvus:19530", PROXY | {"NO_PROXY": "a, Milvus"}, ""),
        ("a.example.com", PROXY | {"no_proxy": ".example.com"}, ""),
        ("a.example.com", PROXY | {"no_proxy": "example.com"}, ""),
        ("anexample.com", PROXY | {"no_proxy": "example.com,"}, NAMED),
        ("10.1.2.3:19530", PROXY | {"no_proxy": "10.0.0.0/8"}, ""),
        ("[::1]:19530", PROXY | {"no_proxy": "::1"}, ""),
        ("milvus", PROXY | {"no_proxy": "*"}, ""),
        ("milvus", PROXY | {"no_grpc_proxy": "other", "no_proxy": "milvus"}, NAMED),
    ],
)
def test_the_proxy_is_the_one_that_grpc_uses(address: str, environment: dict[str, str], expected: str) -> None:
    assert proxy_of(address, environment) == expected
