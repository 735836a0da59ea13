"""The operator's fence: each term of leadership has a number, and only the present one's writes happen.

A Lease alone fences nobody: a process that was stopped and goes on believes it still holds it. The number is compared
in the very transaction that writes, so whatever comes late is void.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import sqlalchemy as sa

from trueup.catalog.store import NORMAL, Read, Store, Write
from trueup.errors import LeaseLost

T = TypeVar("T")

_BEGIN = sa.text(
    "INSERT INTO meta (key, value) VALUES ('operator_term', '1') "
    "ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS VARCHAR) RETURNING value"
)
_NEW_EPOCHS = sa.text("UPDATE source SET epoch = epoch + 1 WHERE state = 'live'")
_TERM = sa.text("SELECT value FROM meta WHERE key = 'operator_term'")
# Held to the end of the transaction: a takeover waits for the commit of what was still rightly begun, and comes after it.
_TERM_SHARED = sa.text("SELECT value FROM meta WHERE key = 'operator_term' FOR SHARE")


def begin_term(tx: Write, holder: str) -> str:
    """Take over from whoever wrote before; returns the new term. Passes begun in an earlier one write nothing more."""
    term = str(tx.run(_BEGIN).scalar_one())
    tx.run(_NEW_EPOCHS)
    tx.audit("Config", principal="controller", object="operator", decision="TookOver", data={"holder": holder, "term": term})
    return term


class FencedStore(Store):
    """The catalog as one term of the operator writes it; reading is as ever."""

    def __init__(self, store: Store, term: str, held: Callable[[], bool]) -> None:
        """`held()` tells whether the Lease is held, by the monotonic clock; the term in the catalog decides in the end."""
        # Not a connection of its own: no super().__init__().
        self.dialect = store.dialect
        self.locking = store.locking
        self.clock = store.clock
        self.chain = store.chain
        self.announcements = store.announcements
        self._inner = store
        self._term = term
        self._held = held
        self._term_now = _TERM_SHARED if store.dialect == "postgresql" else _TERM

    @contextlib.contextmanager
    def read(self) -> Iterator[Read]:
        """One snapshot."""
        with self._inner.read() as snapshot:
            yield snapshot

    def write(self, unit: Callable[[Write], T], priority: int = NORMAL) -> T:
        """Run `unit`, if the term is still the present one.

        Raises:
            LeaseLost: it is not; nothing was written.
            CatalogError: the database refused.
        """

        def fenced(tx: Write) -> T:
            if not self._held() or tx.value(self._term_now) != self._term:
                raise LeaseLost
            return unit(tx)

        return self._inner.write(fenced, priority)

    def subscribe(self, told: Callable[[str], None]) -> Callable[[], None]:
        """See `Store.subscribe`."""
        return self._inner.subscribe(told)

    def close(self) -> None:
        """Nothing: the connection belongs to the process."""
