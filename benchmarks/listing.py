"""Listing and comparing many small documents: CPU and peak memory of the first look and of one without changes.

The source is made up and what it lists cannot be read, so that nothing but the look itself is measured: the merge of listing and
catalog, and the rows it writes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plant
from trueup.model.listing import Complete, Content, Item, Presence, Scope
from trueup.ports import Selection


class Many:
    """Lists `count` items without end of novelty: none of them can be read."""

    def __init__(self, count: int) -> None:
        self.count = count

    def revision(self) -> str | None:
        return None

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        del scope, selection, previous
        for number in range(self.count):
            yield Item(f"folder-{number // 1000:05}/item-{number:09}.bin", "1", size=100)
        yield Complete()

    def read(self, uri: str, version: str, limit: int) -> Content:
        raise NotImplementedError

    def check(self, uri: str, version: str) -> Presence:
        del uri, version
        return Presence.SAME

    def watch(self, hint: Any) -> None:
        del hint

    def close(self) -> None:
        pass


def peak() -> int:
    """Peak resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        home.mkdir()
        trueup = plant.Trueup(home)
        object.__setattr__(trueup.core.plant, "open_source", lambda _: Many(asked.documents))
        trueup.controller.start()
        before, cpu, began = peak(), time.process_time(), time.perf_counter()
        trueup.apply(Path("/"))
        while not trueup.decided():
            time.sleep(0.05)
        found: dict[str, Any] = {"name": "Trueup (look)", "documents": asked.documents, "before_mb": before}
        found["first"] = {"cpu": round(time.process_time() - cpu, 2), "wall": round(time.perf_counter() - began, 2), "peak_mb": peak()}
        origin = trueup.core.find("default", "bench")
        assert origin is not None
        cpu, began = time.process_time(), time.perf_counter()
        assert trueup.core.visits.visit(origin, Scope())
        found["quiet"] = {"cpu": round(time.process_time() - cpu, 2), "wall": round(time.perf_counter() - began, 2), "peak_mb": peak()}
        trueup.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
