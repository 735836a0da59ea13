"""Trueup, put through the passes: polled, so that each pass is one whole look, as the peers make it."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa

from passes import main
from plant import Trueup
from trueup.catalog.bodies import unpack_body
from trueup.model.listing import Scope

_SERVED = sa.text(
    "SELECT b.data FROM document d JOIN revision r ON r.id = d.revision_id JOIN chunk c ON c.revision_id = r.id JOIN body b ON b.digest = c.digest "
    "WHERE d.state = 'live' AND r.state = 'live'"
)


class Ours:
    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.trueup = Trueup(work)
        self.trueup.controller.start()
        self.declared = False

    def sync(self) -> None:
        if not self.declared:
            self.trueup.apply(self.folder)
            self.declared = True
            while not self.trueup.decided():
                time.sleep(0.02)
        else:
            origin = self.trueup.core.find("default", "bench")
            assert origin is not None
            assert self.trueup.core.visits.visit(origin, Scope())
        self.trueup.published()

    def drain(self) -> None:
        self.trueup.settled()

    def served(self, words: list[str]) -> int:
        """What the catalog vouches for, which is what the gate may deliver."""
        with self.trueup.store.read() as read:
            text = "\n".join(unpack_body(row.data) for row in read.rows(_SERVED))
        return sum(word in text for word in words)

    def close(self) -> None:
        self.trueup.close()


if __name__ == "__main__":
    main("Trueup (polled)", Ours)
