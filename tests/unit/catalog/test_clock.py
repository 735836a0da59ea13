"""The catalog's clock between measurements, and over a server's clock that jumps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from trueup.catalog.clock import SERVER_NOW, STEP, CatalogClock
from trueup.errors import CatalogError


class Machine:
    """A machine whose wall clock is nonsense, and a server whose answers take `trip` seconds."""

    def __init__(self, trip: float = 0.0) -> None:
        self.mono, self.server, self.trip = 1000.0, 5000.0, trip
        self.away = False

    def now(self) -> float:
        return -1.0

    def monotonic(self) -> float:
        return self.mono

    def pass_(self, seconds: float) -> None:
        self.mono += seconds
        self.server += seconds

    @contextlib.contextmanager
    def read(self) -> Iterator[Machine]:
        if self.away:
            raise CatalogError
        yield self

    def value(self, statement: object) -> float:
        if statement is not SERVER_NOW:
            self.pass_(30.0)  # opening the connection took long, and is not measured
            return 1
        self.pass_(self.trip / 2)
        seen = self.server
        self.pass_(self.trip / 2)
        return seen


@pytest.fixture
def machine() -> Machine:
    return Machine(trip=0.5)


@pytest.fixture
def clock(machine: Machine) -> Iterator[CatalogClock]:
    made = CatalogClock(machine, machine, every=3600.0)  # type: ignore[arg-type]
    yield made
    made.close()


def test_it_shows_the_servers_time(machine: Machine, clock: CatalogClock) -> None:
    """To within half a round trip, and it goes on by the machine's monotonic clock."""
    assert clock.now() == pytest.approx(machine.server)
    machine.pass_(77.0)
    assert clock.now() == pytest.approx(machine.server)
    assert clock.monotonic() == machine.mono


def test_a_small_step_back_is_waited_for(machine: Machine, clock: CatalogClock) -> None:
    """Two measurements differ a little: shown time stands still, then goes on."""
    before = clock.now()
    machine.server -= STEP / 2
    clock.measure()
    assert clock.now() >= before
    machine.pass_(STEP)
    assert clock.now() == pytest.approx(machine.server)


def test_a_step_forward_shows_at_once(machine: Machine, clock: CatalogClock) -> None:
    """A lease ends when the server's clock says so."""
    machine.server += 3600.0
    clock.measure()
    assert clock.now() == pytest.approx(machine.server)


def test_a_server_clock_set_back_shows(machine: Machine, clock: CatalogClock) -> None:
    """Whoever watches for clocks that go back must see it: hiding it would keep content fresh for too long."""
    clock.now()
    machine.server -= 600.0
    clock.measure()
    assert clock.now() == pytest.approx(machine.server)


def test_a_slow_answer_is_not_believed(machine: Machine, clock: CatalogClock) -> None:
    """It could be off by half the time it took; what was known before is better."""
    machine.trip = 60.0
    real = machine.server
    machine.server = 9e9
    clock.measure()
    assert clock.now() < real + 200.0


def test_the_first_answer_is_taken_however_slow() -> None:
    """Without any measurement there is no time at all."""
    machine = Machine(trip=8.0)
    clock = CatalogClock(machine, machine, every=3600.0)  # type: ignore[arg-type]
    assert clock.now() == pytest.approx(machine.server)
    clock.close()


def test_it_goes_on_while_the_server_is_away(machine: Machine) -> None:
    """A measurement that failed changes nothing, and the next is made."""
    clock = CatalogClock(machine, machine, every=0.01)  # type: ignore[arg-type]
    machine.away = True
    shown = clock.now()
    machine.away = False
    clock.close()
    assert clock.now() >= shown
    machine.away = True
    with pytest.raises(CatalogError):
        CatalogClock(machine, machine)  # type: ignore[arg-type]
