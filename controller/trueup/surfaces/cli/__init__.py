"""The command line. What people and scripts type may live here; what a command does to catalog or index may not: it asks
the server, or calls the room that knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command in `sys.argv`, and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its escape; a command never fails over one.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code: 0 when done, 1 when it failed, 2 when it was used wrongly."""
    from trueup.errors import TrueupError
    from trueup.surfaces.cli.failure import Failed
    from trueup.surfaces.cli.program import program
    from trueup.surfaces.cli.screen import note

    try:
        program(arguments[0] if arguments else None)(list(arguments), prog_name="trueup")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except Failed as failure:
        note(f"error: {failure}")
        return failure.code
    except TrueupError as error:
        note(f"error: {error}")
        return 1
    except Exception as error:
        # A defect of ours: people get a sentence, and the trace only if they ask, since it can hold what was typed.
        if os.environ.get("TRUEUP_DEBUG"):
            raise
        note(f"error: trueup failed unexpectedly ({type(error).__name__}); run it again with TRUEUP_DEBUG=1 and report what it prints.")
        return 1
    return 0
