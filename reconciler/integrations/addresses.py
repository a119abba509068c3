"""Addresses that no system beside Milvus has, and whose answers can hold credentials of the machine that asks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))
METADATA = tuple(
    map(
        ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # Amazon EC2
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
_NAT64 = ip_network("64:ff9b::/96")


def refused(host: str) -> str:
    """Return why an address is not called; empty for one that is, and for a name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    for each in _readings(address):
        if any(each in network for network in LINK_LOCAL):
            return f"{address} is a link-local address, which can be that of instance metadata, and is refused"
        if each in METADATA:
            return f"{address} is an address of instance metadata, and is refused"
        if each.is_multicast or each.is_unspecified:
            return f"{address} is no address of a single machine, and is refused"
    return ""


def _readings(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield an address, and the IPv4 address that is written in it, in each of the forms that reach one."""
    yield address
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        if address.sixtofour:
            yield address.sixtofour
        if address in _NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
