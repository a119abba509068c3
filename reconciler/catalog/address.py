"""Normalise the URI of a connection, and derive the address that identifies its server."""

from __future__ import annotations

import os
import re
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path

LITE_PATTERN = r"[^:\u0000-\u001f]*/[^:/\u0000-\u001f]*\.db"
HTTP_PATTERN = (
    r"[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?"
)

EXPECTED = (
    "expected http(s)://host[:port], or a Milvus Lite file: a path with a slash, ending in .db (like ./milvus.db)"
)
_PORTS = {"http": 19530, "https": 443}


def normalise(uri: str, base: Path) -> tuple[str, str]:
    """Return the URI for the client, and the address, which is equal for every spelling of the same server.

    Args:
        uri: `http(s)://host[:port]`, or the path of a Milvus Lite file.
        base: the folder that a relative path starts from.

    Returns:
        `("https://milvus.example.com:443", "milvus.example.com:443")`, or the file's absolute real path twice.

    Raises:
        ValueError: the URI is not valid; the message never repeats it, because it may contain a password.
    """
    if re.fullmatch(LITE_PATTERN, uri):
        path = os.path.realpath(base / uri)
        return path, path
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise ValueError(EXPECTED)
    if "@" in rest:
        raise ValueError("a uri holds no user name or password; name where to read the token: token.env or --token-env")
    if any(mark in rest.removesuffix("/") for mark in "/?#"):
        raise ValueError("a uri is http(s)://host[:port], without path or query")
    if not re.fullmatch(HTTP_PATTERN, uri):
        raise ValueError("the uri's host or port is not valid; expected http(s)://host[:port]")
    host, port = _host_and_port(rest.removesuffix("/"), _PORTS[scheme])
    return f"{scheme}://{host}:{port}", f"{host}:{port}"


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if re.search(r":[0-9]+$", text) and not text.endswith("]") else (text, "", "")
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except AddressValueError:
            raise ValueError("the uri's IPv6 address is not valid") from None
    number = int(port or default_port)
    if not 1 <= number <= 65535:
        raise ValueError("the uri's port is not from 1 to 65535")
    return host.removesuffix(".").lower(), number
