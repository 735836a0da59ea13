"""The in-memory twin keeps the promises of a connector."""

from __future__ import annotations

import pytest

from trueup.errors import SourceUnavailable
from trueup.model.listing import Kind
from trueup.testing.source import MemorySource
from trueup.testing.source_contract import SourceContract
from trueup.testing.source_faults import FaultySource
from trueup.testing.source_origin import Origin


class MemoryOrigin(Origin):
    """One MemorySource is origin and connector; each opening adds a layer without faults of its own."""

    probes = True
    keeps_history = True

    def __init__(self) -> None:
        self.source = MemorySource()

    def open(self) -> FaultySource:
        return FaultySource(self.source)

    def write(self, uri: str, data: bytes) -> None:
        self.source.put(uri, data)

    def delete(self, uri: str) -> None:
        self.source.delete(uri)

    def rename(self, old: str, new: str) -> None:
        self.source.rename(old, new)

    def skip(self, uri: str) -> bool:
        self.source.put(uri, b"target", Kind.SKIPPED)
        return True

    def obstruct(self, prefix: str) -> bool:
        self.source.faults.gaps = (prefix,)
        return True

    def cut(self) -> None:
        self.source.faults.outage = SourceUnavailable(why="a test cut it off")

    def restore(self) -> None:
        self.source.faults.clear()

    def rewind(self) -> None:
        self.source.check_out(self.source.parent(self.source.head))

    def rewrite(self) -> None:
        documents = self.source.documents
        self.rewind()
        self.source.put_all(documents)


class TestMemorySource(SourceContract):
    """The suite, over the twin."""

    @pytest.fixture
    def origin(self) -> MemoryOrigin:
        return MemoryOrigin()
