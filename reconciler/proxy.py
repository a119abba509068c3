"""The HTTP proxy on the way to a server: gRPC reads it from the environment and never mentions it in its errors.

The systems that `reconciler.integrations` calls are reached through the same one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
"""In gRPC's order, which is the same for http and https (`http_proxy_mapper.cc`)."""
EXCEPTIONS = ("no_grpc_proxy", "no_proxy", "NO_PROXY")
"""gRPC does not read the last one; we do, as Git does."""


def proxy_of(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the proxy on the way to a server and the variable that names it: `http://proxy:3128 (https_proxy)`.

    Args:
        address: of the server, as `Connection.address`: `host:port`, or the path of a file.
        environment: the variables.

    Returns:
        Text without user and password; empty if the server is reached directly, or is a file.
    """
    variable = proxy_variable(address, environment)
    if not variable:
        return ""
    scheme, _, rest = environment[variable].rpartition("://")
    return f"{scheme or 'http'}://{rest.rpartition('@')[2]} ({variable})"


def proxy_variable(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the variable that names the proxy on the way to a server; arguments as for `proxy_of`."""
    variable = next((name for name in VARIABLES if environment.get(name)), "")
    host = None if address.startswith("/") else urlsplit(f"//{address}").hostname
    if not variable or not host:
        return ""
    exceptions = next((environment[name] for name in EXCEPTIONS if environment.get(name)), "")
    return "" if any(_covers(entry.strip().lower(), host) for entry in exceptions.split(",")) else variable


def _covers(entry: str, host: str) -> bool:
    """Return whether an exception is about a host: `*`, an address, a network, a name, or a domain of the name."""
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return entry in ("*", host) or (bool(entry) and host.endswith("." + entry.lstrip(".")))
