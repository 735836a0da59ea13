"""An index that fails when told to, around a real one or the twin."""

from __future__ import annotations

import enum
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from trueup.errors import IndexFailure
from trueup.model.index import GenerationSpec, Hit, Keys, Point, Question, Scope
from trueup.ports import Index

T = TypeVar("T")


class Fault(enum.StrEnum):
    """How the index fails."""

    NONE = "None"
    TIMEOUT = "Timeout"
    """No call is carried out, and each ends as a call that timed out."""
    LOST_ANSWER = "LostAnswer"
    """Writes are carried out, but the caller is told that they timed out. Reads work."""
    EVERY_OTHER = "EveryOther"
    """Every second call fails without being carried out."""
    READ_ONLY = "ReadOnly"
    """Reads work, writes are refused."""


class FaultyIndex:
    """`Index` that does as `fault` says, from any thread; `fault` may be changed at any time.

    Attributes:
        fault: the present fault.
        pause: seconds to wait before each call that times out, for tests of what else goes on meanwhile.
        calls: names of the methods called, in order.
    """

    def __init__(self, index: Index, fault: Fault = Fault.NONE, pause: float = 0.0) -> None:
        self.index = index
        self.fault = fault
        self.pause = pause
        self.calls: list[str] = []
        self._counter = itertools.count(1)
        self._changed = threading.Condition()

    def heal(self) -> None:
        """Work from now on, also for callers that are still waiting for their time-out."""
        with self._changed:
            self.fault = Fault.NONE
            self._changed.notify_all()

    def ensure(self, generation: GenerationSpec) -> None:
        """A write."""
        self._write("ensure", lambda: self.index.ensure(generation))

    def upsert(self, generation: GenerationSpec, points: Sequence[Point]) -> None:
        """A write."""
        self._write("upsert", lambda: self.index.upsert(generation, points))

    def put_keys(self, generation: GenerationSpec, keys: Iterable[tuple[str, Keys]]) -> None:
        """A write."""
        self._write("put_keys", lambda: self.index.put_keys(generation, keys))

    def delete(self, generation: GenerationSpec, ids: Sequence[str]) -> None:
        """A write."""
        self._write("delete", lambda: self.index.delete(generation, ids))

    def search(self, generation: GenerationSpec, question: Question, scope: Scope, limit: int) -> list[Hit]:
        """A read."""
        return self._read("search", lambda: self.index.search(generation, question, scope, limit))

    def present(self, generation: GenerationSpec, ids: Sequence[str]) -> dict[str, Keys]:
        """A read."""
        return self._read("present", lambda: self.index.present(generation, ids))

    def scroll(self, generation: GenerationSpec, after: str | None, limit: int) -> list[tuple[str, Keys]]:
        """A read."""
        return self._read("scroll", lambda: self.index.scroll(generation, after, limit))

    def collections(self) -> list[str]:
        """A read."""
        return self._read("collections", self.index.collections)

    def drop(self, collection: str) -> None:
        """A write."""
        self._write("drop", lambda: self.index.drop(collection))

    def flush(self) -> None:
        """A write."""
        self._write("flush", self.index.flush)

    def close(self) -> None:
        """Never fails."""
        self.index.close()

    def _write(self, name: str, call: Callable[[], None]) -> None:
        self._fail_before(name)
        if self.fault is Fault.READ_ONLY:
            raise IndexFailure(why="it is read-only")
        call()
        if self.fault is Fault.LOST_ANSWER:
            self._time_out()

    def _read(self, name: str, call: Callable[[], T]) -> T:
        self._fail_before(name)
        return call()

    def _fail_before(self, name: str) -> None:
        self.calls.append(name)
        number = next(self._counter)
        if self.fault is Fault.TIMEOUT:
            self._time_out()
        if self.fault is Fault.EVERY_OTHER and number % 2 == 0:
            raise IndexFailure(why="an injected fault, as on every other call")

    def _time_out(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.fault is Fault.NONE, timeout=self.pause)
        raise IndexFailure(why="it did not answer in time")
