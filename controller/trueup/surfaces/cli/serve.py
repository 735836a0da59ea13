"""`serve`: the controller and the gate in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueup.surfaces.cli.environment import DEFAULT_HOME
from trueup.surfaces.cli.failure import Failed


def serve(
    home: Annotated[Path, typer.Option("--home", metavar="DIR", envvar="TRUEUP_HOME", help="Where everything of this installation is kept.")] = Path(
        DEFAULT_HOME
    ),
    host: Annotated[str, typer.Option("--host", metavar="H", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8480,
    metrics_port: Annotated[int | None, typer.Option("--metrics-port", metavar="N", min=1, max=65535, help="Where /metrics is, on loopback.")] = None,
    allow_root: Annotated[list[Path] | None, typer.Option("--allow-root", metavar="DIR", help="Sources may lie below this too; can be repeated.")] = None,
) -> None:
    """Run the controller and the gate until SIGTERM. Prints `ready URL` when it answers."""
    from trueup.app import Settings, serve

    try:
        serve(Settings(home=home, host=host, port=port, metrics_port=metrics_port, roots=tuple(allow_root or ())))
    except OSError as error:
        raise Failed(f"The server cannot run: {error.strerror or error}; see that port {port} is free and that {home} can be written.") from error
