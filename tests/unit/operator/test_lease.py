"""The Lease: one holder, and one that stops believing before anybody else begins."""

from __future__ import annotations

import threading

import pytest

from tests.unit.operator.server import Clock, Server
from trueup.errors import ClusterError, ObjectConflict
from trueup.operator.lease import Lease, Timing

PLACE = "/apis/coordination.k8s.io/v1/namespaces/trueup-system/leases/trueup-operator"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def candidate(server: Server, clock: Clock, name: str) -> Lease:
    return Lease(server, clock, "trueup-system", "trueup-operator", name, Timing(every=0.001))


def test_the_first_takes_it_and_the_second_waits(server: Server, clock: Clock) -> None:
    """Who is first holds it; who comes later does not, while it is renewed."""
    one, two = candidate(server, clock, "one"), candidate(server, clock, "two")
    assert one._try()
    assert one.held()
    for _ in range(10):
        assert not two._try()
        clock.pass_(4)
        assert one._try()
    assert not two.held()
    assert server.objects[PLACE]["spec"]["holderIdentity"] == "one"


def test_it_is_taken_over_when_nobody_renews_and_never_earlier(server: Server, clock: Clock) -> None:
    """The holder stops believing at its deadline; the next begins after the duration: no moment has two."""
    one, two = candidate(server, clock, "one"), candidate(server, clock, "two")
    assert one._try()
    began, both, taken = clock.monotonic(), [], None
    while taken is None:
        if two._try():
            taken = clock.monotonic() - began
        both.append(one.held() and two.held())
        clock.pass_(0.5)
    assert not any(both)
    assert taken >= 15
    assert server.objects[PLACE]["spec"]["leaseTransitions"] == 1


def test_of_two_who_take_it_at_once_one_does(server: Server, clock: Clock) -> None:
    """The object's version decides: the slower one gets a conflict and does not hold it."""
    one, two = candidate(server, clock, "one"), candidate(server, clock, "two")
    assert one._try()
    one._renewed = None
    server.objects[PLACE]["spec"]["holderIdentity"] = ""

    def meanwhile(verb: str, path: str) -> None:
        if verb == "replace":
            server.before = lambda *_: None
            assert two._try()

    server.before = meanwhile
    assert not one._try()
    assert (one.held(), two.held()) == (False, True)


@pytest.mark.parametrize("fault", [ClusterError(why="it is away"), ObjectConflict()])
def test_without_a_renewal_it_is_lost_at_the_deadline(server: Server, clock: Clock, fault: ClusterError) -> None:
    """An API server that cannot be reached is no reason to go on writing."""
    one = candidate(server, clock, "one")
    assert one._try()
    server.fault = fault
    clock.pass_(9.9)
    assert not one._try()
    assert one.held()
    clock.pass_(0.2)
    assert not one.held()


def test_the_keeper_gives_up_for_good(server: Server, clock: Clock) -> None:
    """What was stopped beyond its deadline does not quietly renew and go on: the term has to begin anew."""
    one = candidate(server, clock, "one")
    assert one.acquire(threading.Event())
    clock.pass_(11)
    assert one._thread is not None
    one._thread.join(5)
    assert not one._thread.is_alive()
    assert not one.held()


def test_a_renewal_is_one_request(server: Server, clock: Clock) -> None:
    """A Lease that nobody else touches costs one write each time; one that somebody deleted by hand is made again."""
    one = candidate(server, clock, "one")
    assert one._try()
    server.calls.clear()
    assert one._try()
    assert server.calls == [("replace", PLACE)]
    server.objects.clear()
    assert not one._try()
    assert one._try()
    assert server.objects[PLACE]["spec"]["holderIdentity"] == "one"


def test_released_it_is_free_at_once(server: Server, clock: Clock) -> None:
    """A clean end makes nobody wait for fifteen seconds."""
    one, two = candidate(server, clock, "one"), candidate(server, clock, "two")
    assert one.acquire(threading.Event())
    one.release()
    assert not one.held()
    assert two._try()
