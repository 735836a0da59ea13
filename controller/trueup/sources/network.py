"""The one way out to the network for every source: names resolved once, addresses checked, connections pinned to them.

A source's URL is written by a tenant, so it must not reach what only the installation may: the cloud's metadata service,
the host's own loopback in a cluster. Checking a name and then connecting by name would be answered twice (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from trueup.errors import SourceMisconfigured, SourceUnavailable
from trueup.sources.deadline import Deadline

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], list[str]]
"""Host and port to numeric addresses; raises OSError."""

_REFUSED = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("169.254.0.0/16", "fe80::/10"),  # link-local: AWS, Azure, GCP and most others keep their metadata there
        *("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),  # metadata: AWS, GCP, Alibaba, Oracle, Azure
        *("0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8", "240.0.0.0/4"),  # this host, multicast, reserved: no origin is there
    )
)
_WRAPPED_AT = ((ipaddress.ip_network("64:ff9b::/96"), 0), (ipaddress.ip_network("64:ff9b:1::/48"), 0), (ipaddress.ip_network("::/96"), 0))
"""Blocks whose addresses end in an IPv4 address that a translator connects to: NAT64 and the old compatible form."""


def _faces(address: Address) -> list[Address]:
    """The address and every address that it may stand for."""
    faces: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        faces += [face for face in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if face is not None]
        faces += [ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF) for block, shift in _WRAPPED_AT if address in block and int(address) > 1]
    return faces


def admit(numeric: str, *, in_cluster: bool) -> None:
    """Let an address pass if a source may be there: any but link-local, metadata and special ones; in a cluster, no loopback.

    Raises:
        SourceMisconfigured: it may not.
    """
    for face in _faces(ipaddress.ip_address(numeric.partition("%")[0])):
        if any(face in block for block in _REFUSED):
            raise SourceMisconfigured(why="its host is at a link-local, metadata or special address, which is never a source")
        if in_cluster and face.is_loopback:
            raise SourceMisconfigured(why="its host is at a loopback address, which is no source in a cluster")


def system_resolver(host: str, port: int) -> list[str]:
    """The system's own answer, each address once and in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Network:
    """The network as one call to a source sees it: what a name resolved to first, it is until the call ends."""

    def __init__(self, deadline: Deadline, *, in_cluster: bool, resolver: Resolver = system_resolver) -> None:
        self._deadline = deadline
        self._in_cluster = in_cluster
        self._resolver = resolver
        self._known: dict[tuple[str, int], list[str]] = {}

    def addresses(self, host: str, port: int) -> list[str]:
        """Where `host` is. One bad address among good ones refuses them all: it is how a name is made to rebind.

        Raises:
            SourceMisconfigured: it is where no source may be.
            SourceUnavailable: the name cannot be resolved.
            SourceTimeout: nobody answered in time.
        """
        if (host, port) not in self._known:
            found = self._resolve(host.strip("[]"), port)
            for numeric in found:
                admit(numeric, in_cluster=self._in_cluster)
            self._known[host, port] = found
        return self._known[host, port]

    def _resolve(self, host: str, port: int) -> list[str]:
        # The system's resolver cannot be interrupted, so it is waited for from outside.
        found: list[str] = []
        failed: list[OSError | UnicodeError] = []

        def ask() -> None:
            try:
                found.extend(self._resolver(host, port))
            except (OSError, UnicodeError) as error:
                failed.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(self._deadline.remaining())
        if asking.is_alive():
            raise self._deadline.error
        if failed or not found:
            raise SourceUnavailable(why="its host name cannot be resolved") from (failed[0] if failed else None)
        return found

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to a checked address of `host`, which ends at the deadline whatever it is doing.

        Raises:
            SourceError: as of `addresses`; SourceUnavailable if nothing listens there.
        """
        failure: OSError | None = None
        for numeric in self.addresses(host, port):
            try:
                connection = socket.create_connection((numeric, port), timeout=self._deadline.remaining())
            except OSError as error:
                failure = error
                continue
            self._deadline.ends(partial(_end, connection))
            return connection
        if self._deadline.expired or isinstance(failure, TimeoutError):
            raise self._deadline.error from failure
        raise SourceUnavailable(why="its host refuses connections or cannot be reached") from failure


def _end(connection: socket.socket) -> None:
    # Not the method of a TLS socket, which is not made to be called beside a read in another thread.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
