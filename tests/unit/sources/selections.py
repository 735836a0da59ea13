"""Selections for tests of connectors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Everything:
    """Takes all, enters all but what is named."""

    closed: frozenset[str] = frozenset()
    digest: str = "everything"

    def takes(self, uri: str) -> bool:
        return True

    def enters(self, folder: str) -> bool:
        return folder not in self.closed
