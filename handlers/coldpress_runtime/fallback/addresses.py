"""Where a URL's host leads, and whether a function may go there.

A URL that leads to a cloud's metadata service would hand out the function's own credentials, and one that leads to a
private network what lies there. Every address of the host is looked at, and the connection goes to one of those very
addresses: a name that is resolved a second time may lead elsewhere (DNS rebinding).

Link-local and metadata addresses are never allowed, loopback and private ones where the manifest says
``allow_private``.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from typing import Any

    Address = tuple[socket.AddressFamily, Any]

__all__ = ["RefusedAddressError", "check", "resolve"]

_METADATA_NAMES = {"metadata.google.internal", "metadata.goog", "metadata", "instance-data"}
#: Metadata services: of most clouds, Google (IPv6), Azure's wire server, Alibaba, Oracle.
_METADATA = {"169.254.169.254", "fd20:ce::254", "168.63.129.16", "100.100.100.200", "192.0.0.192"}
_AMAZON = 0xFD000EC2  # fd00:ec2::/32, where AWS's services for a machine are, credentials of pods among them
#: What stands before an IPv4 address: ::/96, ::ffff:0:0:0/96 (translated), 64:ff9b::/96 and 64:ff9b:1::/96 (NAT64).
_EMBEDDING = {0, 0xFFFF << 16, 0x64FF9B << 64, 0x64FF9B0001 << 48}
#: Private prefixes that not every Python knows, and how many bits follow: site-local, and a network's own NAT64.
_LOCAL = ((0xFEC0 >> 6, 118), (0x64FF9B0001, 80))


class RefusedAddressError(Exception):
    """The host leads to where this function may not go; the message ends a sentence that names the host."""


def check(text: str, *, allow_private: bool) -> None:
    """Raise RefusedAddressError for an IP address or a host name that a function may not ask; other names pass."""
    from ipaddress import ip_address  # noqa: PLC0415 - not needed to start

    name = text.rstrip(".").lower()
    if name in _METADATA_NAMES:
        raise RefusedAddressError("is a cloud's metadata service, which no endpoint's URL may name")
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return
    inner = _inner(address)
    is_private = not inner.is_global or any(int(address) >> bits == prefix for prefix, bits in _LOCAL)
    _check(inner, is_private=is_private, allow_private=allow_private)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for (mapped, translated, NAT64, 6to4), or the address itself."""
    from ipaddress import IPv4Address, IPv6Address  # noqa: PLC0415 - not needed to start

    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        value = int(address)
        if value >> 32 in _EMBEDDING and value >> 1:
            return IPv4Address(value & 0xFFFFFFFF)
    return address


def _check(address: IPv4Address | IPv6Address, *, is_private: bool, allow_private: bool) -> None:
    if str(address) in _METADATA or int(address) >> 96 == _AMAZON:
        raise RefusedAddressError(f"leads to {address}, a cloud's metadata service, which no endpoint's URL may name")
    if address.is_link_local:
        raise RefusedAddressError(f"leads to {address}, a link-local address, which no endpoint's URL may name")
    if address.is_multicast or address.is_unspecified:
        raise RefusedAddressError(f"leads to {address}, which is no machine's address")
    if is_private and not allow_private:
        kind = "a loopback address" if address.is_loopback else "a private address"
        raise RefusedAddressError(
            f"leads to {address}, {kind}; set allow_private when the endpoint is meant to be there"
        )


def resolve(host: str, port: int, *, allow_private: bool) -> list[Address]:
    """The addresses of a host, each of them checked, in the order to try them.

    Takes as long as the system's resolver does. Raises RefusedAddressError when any of them is not allowed, and
    ``socket.gaierror`` when there are none.
    """
    check(host, allow_private=allow_private)
    found: list[Address] = []
    for family, _, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        check(str(place[0]), allow_private=allow_private)
        found.append((family, place))
    return found
