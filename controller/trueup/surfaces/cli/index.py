"""`index`: upkeep of the index, and a consistent copy of the home."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from trueup.surfaces.cli.connection import connect
from trueup.surfaces.cli.environment import environment
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.screen import as_yaml, line, progress, say

PAGES = 2048
"""Pages copied at a time (8 MiB): the catalog is locked for reading that long, which never blocks its writer."""

KEPT = ("keys", "checkpoints")
"""The folders that a copy needs besides the catalog. The index is not among them: it is rebuilt from the catalog."""


def sweep() -> None:
    """Compare catalog and index both ways now, and repair the index."""
    _ask("sweep")


def rebuild() -> None:
    """Make the index anew from the catalog. The old one answers until the new one is whole."""
    _ask("rebuild")


def _ask(what: str) -> None:
    with connect() as api:
        try:
            answer = api.post(f"/v1/index/{what}", {})
        except Failed as failure:
            if failure.status not in {404, 405}:
                raise
            raise Failed(
                f"This server does not take `index {what}` from this token; use one with the role operator, or see that the server is of this version.", 404
            ) from failure
    say(as_yaml(answer) if answer else f"index {what} requested")


def backup(destination: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet.")]) -> None:
    """Copy catalog, keys and checkpoints, consistently, while the server runs or not.

    To restore: stop the server, put the copy where the home was, start it. The index is rebuilt from the catalog.
    """
    home = environment().home
    catalog = home / "catalog.db"
    if not catalog.is_file():
        raise Failed(f"There is no catalog in {home}: set TRUEUP_HOME to the home of an installation.")
    if destination.exists():
        raise Failed(f"{destination} is there already; name a folder that is not.")
    unfinished = destination.with_name(f".{destination.name}.unfinished")
    try:
        unfinished.mkdir(mode=0o700, parents=True)
        copy_catalog(catalog, unfinished / "catalog.db")
        for folder in KEPT:
            if (home / folder).is_dir():
                shutil.copytree(home / folder, unfinished / folder)
                (unfinished / folder).chmod(0o700)
        unfinished.rename(destination)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise Failed(f"The copy to {destination} failed: {line(error)}. Free some room, or name another place.") from error
    say(f"{destination} holds catalog, keys and checkpoints; whoever has it can make tokens, so keep it as safe as the home.")


def copy_catalog(catalog: Path, copy: Path) -> None:
    """Copy a SQLite database with its own online backup: one committed state, also while another process writes.

    Raises:
        OSError: the copy cannot be created.
        sqlite3.Error: the database cannot be read.
    """
    copy.touch(mode=0o600)
    with (
        closing(sqlite3.connect(f"file:{_quoted(catalog)}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
        progress("Copying the catalog") as tell,
    ):
        source.backup(target, pages=PAGES, progress=lambda _status, left, total: tell(total - left, total))
        target.execute("PRAGMA journal_mode=DELETE")
    with copy.open("rb") as stream:
        os.fsync(stream.fileno())


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
