"""Host names that a request may ask for, so that no web site can read the pages through the browser of a reader.

A site can give its own name the address of the reader's machine (DNS rebinding). Its script may then read what answers
there, because for the browser it is the same site. Such a request names the site in its header `Host`.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address


def is_loopback(address: str) -> bool:
    """Return whether an IP address belongs to the loopback interface."""
    found = ip_address(address.partition("%")[0])
    return ((found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found).is_loopback


def is_allowed(host: str, names: Collection[str]) -> bool:
    """Return whether a web site cannot have this host, or it is one of the names.

    No site has an IP address, a name without a dot, or a name below `localhost` as its own.

    Args:
        host: the header `Host`: a name or an address, and perhaps a port.
        names: as `host_name` returns them.
    """
    name = host_name(host)
    return "." not in name or name.endswith(".localhost") or name in names or _address(name) is not None


def host_name(host: str) -> str:
    """Return a host without its port, in the form that all spellings of its name share."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().removesuffix(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
