"""Where a source's URL may lead (A24)."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from trueup.errors import SourceMisconfigured, SourceTimeout, SourceUnavailable
from trueup.sources import network
from trueup.sources.deadline import Deadline
from trueup.sources.network import Network, admit


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254",
        "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
    ],
)  # fmt: skip
def test_metadata_and_special_addresses_are_refused_always(address: str) -> None:
    """In whatever form the address is written, it is no source."""
    with pytest.raises(SourceMisconfigured):
        admit(address, in_cluster=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_loopback_is_refused_in_a_cluster_only(address: str) -> None:
    """On one's own machine a server there is one's own; in a cluster it is the pod's."""
    admit(address, in_cluster=False)
    with pytest.raises(SourceMisconfigured):
        admit(address, in_cluster=True)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd12::1", "93.184.216.34", "2606:2800:220:1::1"])
def test_private_and_public_addresses_pass(address: str) -> None:
    """A company's own server is what most sources are."""
    admit(address, in_cluster=True)


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376"])
def test_an_address_in_disguise_is_seen_through(host: str) -> None:
    """The resolver's answer is checked, not the spelling."""
    with Deadline(5) as deadline, pytest.raises(SourceMisconfigured):
        Network(deadline, in_cluster=False).connect(host, 80)


def test_one_bad_address_refuses_the_name() -> None:
    """A name that is both here and there is how a rebind is staged."""
    with Deadline(5) as deadline, pytest.raises(SourceMisconfigured):
        Network(deadline, in_cluster=False, resolver=lambda *_: ["127.0.0.1", "169.254.169.254"]).connect("both.test", 80)


def test_a_name_is_resolved_once_and_the_connection_goes_there() -> None:
    """The second answer of a rebinding name is never asked for."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    with socket.create_server(("127.0.0.1", 0)) as server, Deadline(5) as deadline:
        port = server.getsockname()[1]
        reach = Network(deadline, in_cluster=False, resolver=lambda *_: next(answers))
        for _ in range(2):
            with reach.connect("rebind.test", port) as connection:
                assert connection.getpeername() == ("127.0.0.1", port)


def test_a_name_that_does_not_resolve_is_an_outage() -> None:
    """DNS failing says nothing about the documents."""

    def fails(*_: object) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    for resolver in (fails, lambda *_: []):
        with Deadline(5) as deadline, pytest.raises(SourceUnavailable):
            Network(deadline, in_cluster=False, resolver=resolver).connect("no.test", 80)


def test_nothing_listening_is_an_outage() -> None:
    """A refused connection is told from a refused address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Deadline(5) as deadline, pytest.raises(SourceUnavailable):
        Network(deadline, in_cluster=False).connect("localhost", port)


def test_a_resolver_that_hangs_is_left_behind() -> None:
    """The deadline holds for names too."""
    release = threading.Event()
    with Deadline(0.1) as deadline, pytest.raises(SourceTimeout):
        Network(deadline, in_cluster=False, resolver=lambda *_: [str(release.wait(5))]).connect("slow.test", 80)
    release.set()


def test_a_drip_of_bytes_ends_at_the_deadline() -> None:
    """Each byte comes in time, the whole does not: the connection is ended under the reader."""

    def drip() -> None:
        accepted = server.accept()[0]
        with accepted:
            try:
                while True:
                    accepted.sendall(b".")
                    time.sleep(0.02)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        feeding = threading.Thread(target=drip)
        feeding.start()
        began = time.monotonic()
        with Deadline(0.3) as deadline, Network(deadline, in_cluster=False).connect("localhost", server.getsockname()[1]) as connection:
            with connection.makefile("rb") as file:
                file.read()
            assert deadline.expired
            with pytest.raises(SourceTimeout):
                deadline.remaining()
        assert time.monotonic() - began < 2
        feeding.join()


def test_what_is_put_under_a_passed_deadline_ends_at_once() -> None:
    """There is no gap between connecting and being watched."""
    ended: list[int] = []
    with Deadline(0.01) as deadline:
        while not deadline.expired:
            time.sleep(0.005)
        deadline.ends(lambda: ended.append(1))
    assert ended == [1]


def test_the_check_is_what_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the list emptied a forbidden address would be connected to: the list is the control."""
    monkeypatch.setattr(network, "_REFUSED", ())
    admit("169.254.169.254", in_cluster=False)
