"""Faults that a source can have, to be switched on and off while a test runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trueup.errors import ListingBroken
from trueup.model.listing import Complete, Content, Gap, Hint, Item, Presence, Scope, covered
from trueup.ports import Selection, Source, Watch


@dataclass(slots=True)
class Faults:
    """What is wrong with a source just now; each member may be set at any time, from any thread.

    Attributes:
        outage: raised by every call that asks the origin.
        delay: seconds that every such call takes first.
        hang: while this event is set up and not fired, every such call waits for it.
        gaps: places whose items are left out and that the listing names as unread.
        silent: places whose items are left out without a word: an origin that lies (a short page with 200).
        break_after: the listing breaks off with ListingBroken after so many items.
        stop_after: the listing just stops after so many items, without Complete.
        refuse_read: raised by reading these uris.
    """

    outage: Exception | None = None
    delay: float = 0.0
    hang: threading.Event | None = None
    gaps: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    break_after: int | None = None
    stop_after: int | None = None
    refuse_read: dict[str, Exception] = field(default_factory=dict)

    def clear(self) -> None:
        """All is well again; calls that hang go on."""
        if self.hang is not None:
            self.hang.set()
        self.outage = self.hang = self.break_after = self.stop_after = None
        self.delay = 0.0
        self.gaps = self.silent = ()
        self.refuse_read = {}

    def asked(self) -> None:
        """Suffer what a call to the origin suffers."""
        if self.delay:
            time.sleep(self.delay)
        if self.hang is not None:
            self.hang.wait()
        if self.outage is not None:
            raise self.outage

    def listed(self, lines: Iterator[Item | Complete]) -> Iterator[Item | Complete]:
        """A listing as it comes out with these faults."""
        count = 0
        for line in lines:
            if isinstance(line, Complete):
                yield Complete(line.revision, (*line.gaps, *(Gap(prefix, "made unreadable by a test") for prefix in self.gaps)), line.history)
                return
            if covered(line.uri, self.gaps) or covered(line.uri, self.silent):
                continue
            if count == self.break_after:
                raise ListingBroken
            if count == self.stop_after:
                return
            count += 1
            yield line
        if count == self.break_after:
            raise ListingBroken


class FaultySource:
    """Any source, with faults that can be switched on."""

    def __init__(self, source: Source, faults: Faults | None = None) -> None:
        self.faults = faults if faults is not None else Faults()
        self._source = source

    def revision(self) -> str | None:
        """As the source, if it can be asked."""
        self.faults.asked()
        return self._source.revision()

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """As the source, less what the faults take."""
        self.faults.asked()
        yield from self.faults.listed(self._source.observe(scope, selection, previous))

    def read(self, uri: str, version: str, limit: int) -> Content:
        """As the source, if it can be asked."""
        self.faults.asked()
        if uri in self.faults.refuse_read:
            raise self.faults.refuse_read[uri]
        return self._source.read(uri, version, limit)

    def check(self, uri: str, version: str) -> Presence:
        """As the source, if it can be asked."""
        self.faults.asked()
        return self._source.check(uri, version)

    def watch(self, hint: Callable[[Hint], None]) -> Watch | None:
        """As the source."""
        return self._source.watch(hint)

    def close(self) -> None:
        """As the source."""
        self._source.close()
