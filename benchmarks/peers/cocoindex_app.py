"""CocoIndex 1.0: a folder, memoized by file, into its SQLite target."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["COCOINDEX_DISABLE_USAGE_TRACKING"] = "1"  # a benchmark calls nobody

import cocoindex as coco
from cocoindex.connectors import localfs, sqlite
from cocoindex.resources.file import FileLike

import corpus
from passes import main

DATABASE = coco.ContextKey[sqlite.ManagedConnection]("database")


@dataclass
class Row:
    id: str
    source: str
    text: str
    vector: bytes


@coco.fn(memo=True)
async def load(file: FileLike, folder: str, table: sqlite.TableTarget[Row]) -> None:
    name = str(file.file_path.path).removeprefix(folder)
    for ordinal, passage in enumerate(corpus.passages(await file.read_text())):
        table.declare_row(row=Row(f"{name}#{ordinal}", name, passage, corpus.vector(passage).tobytes()))


@coco.fn
async def app_main(folder: str) -> None:
    table = await sqlite.mount_table_target(DATABASE, "chunks", await sqlite.TableSchema.from_class(Row, primary_key=["id"]))
    files = localfs.walk_dir(Path(folder), recursive=True, live=LIVE)
    await coco.mount_each(load, files.items(), folder, table)


LIVE = "--live" in sys.argv


class CocoIndex:
    def __init__(self, folder: Path, work: Path) -> None:
        self.database = work / "chunks.db"
        os.environ["COCOINDEX_DB"] = str(work / "state")

        @coco.lifespan
        async def lifespan(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
            builder.provide_with(DATABASE, sqlite.managed_connection(str(self.database), load_vec=False))
            yield

        self.app: Any = coco.App("bench", app_main, str(folder))

    def sync(self) -> None:
        self.app.update_blocking()

    def drain(self) -> None:
        pass

    def served(self, words: list[str]) -> int:
        connection = sqlite3.connect(self.database)
        text = "\n".join(row[0] for row in connection.execute("SELECT text FROM chunks"))
        connection.close()
        return sum(word in text for word in words)

    def close(self) -> None:
        coco.stop_blocking()


if __name__ == "__main__":
    main("CocoIndex", CocoIndex)
