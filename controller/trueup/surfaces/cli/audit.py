"""`audit`: the log of what was asked, decided and changed: whether it is whole, and what it says.

Whoever has the home reads it there, whether a server runs or not; with TRUEUP_TOKEN the server is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueup.surfaces.cli.connection import connect
from trueup.surfaces.cli.environment import environment
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.screen import as_line, note, say

if TYPE_CHECKING:
    from trueup.catalog.audit import Problem
    from trueup.catalog.store import Store


@contextmanager
def _catalog(home: Path) -> Iterator[Store]:
    """The catalog of a home, for reading.

    Raises:
        Failed: there is none.
    """
    if not (home / "catalog.db").is_file():
        raise Failed(f"There is no catalog in {home}: set TRUEUP_HOME to the home of an installation.")
    from trueup.catalog.store import SqliteStore
    from trueup.surfaces.cli.owner import Wall

    with closing(SqliteStore(home / "catalog.db", Wall())) as store:
        yield store


def verify() -> None:
    """Check every chain of the log, and every signed checkpoint. Exits 1 and says where something is wrong."""
    home = environment().home
    with _catalog(home) as store:
        problems = _problems(store, home)
        if problems:
            # A server may have sealed rows between our two readings; what is truly wrong is so the second time too.
            problems = _problems(store, home)
    if not problems:
        say("The audit log is whole.")
        return
    for problem in problems:
        say(str(problem))
    raise Failed(
        f"The audit log is not whole: {len(problems)} {'place is' if len(problems) == 1 else 'places are'} wrong; keep a copy of the home as it is and find out who wrote to it."
    )


def _problems(store: Store, home: Path) -> list[Problem]:
    from trueup.catalog import audit
    from trueup.gate.keys import Keys
    from trueup.gate.sealing import CheckpointSeal

    with store.read() as read:
        return audit.verify(read, home / "checkpoints", CheckpointSeal(Keys.load(home / "keys").checkpoint))


def export(
    after: Annotated[
        str, typer.Option("--after", metavar="TIME", help="Only rows later than this, such as 2026-11-21T14:30:09.123Z, or at/chain/seq of a row.")
    ] = "",
) -> None:
    """Print the log as JSON lines, in order of time."""
    where = environment()
    number = 0
    if where.token is None:
        from trueup.catalog import audit

        try:
            place = audit.Place.parse(after)
        except ValueError as error:
            raise Failed("--after is the time of a row, or its at/chain/seq.") from error
        with _catalog(where.home) as store, store.read() as read:
            for row in audit.export(read, place):
                print(as_line(row))
                number += 1
    else:
        with connect() as api:
            for text in api.lines("/v1/audit", {"after": after} if after else {}):
                print(as_line(json.loads(text)))
                number += 1
    note(f"{number} rows.")
