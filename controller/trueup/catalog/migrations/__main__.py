"""Write the next migration: what `schema.py` says now, less what the migrations make of an empty database.

Autogenerate sees tables, columns, indexes and nullability; read what it wrote, and add by hand how rows are to move.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from trueup.catalog import migrate

_FOLDER = Path(__file__).parent


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trueup.catalog.migrations", description="Write the next migration.")
    parser.add_argument("name", help="what it does, in snake_case")
    parser.add_argument("--afresh", action="store_true", help="replace all there are by one: only while nothing is released")
    asked = parser.parse_args()
    if asked.afresh:
        for path in (_FOLDER / "versions").glob("[0-9]*_*.py"):
            path.unlink()
    with sa.create_engine("sqlite://", poolclass=sa.NullPool).begin() as connection:
        if not asked.afresh:
            migrate.upgrade(connection)
        config = Config(attributes={"connection": connection, "batch": not asked.afresh})
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        config.set_main_option("output_encoding", "utf-8")
        number = 1 if asked.afresh else int(migrate.head()) + 1
        command.revision(config, asked.name, autogenerate=True, rev_id=f"{number:04}")
    written = next((_FOLDER / "versions").glob(f"{number:04}_*.py"))
    written.write_text("".join(line for line in written.read_text("utf-8").splitlines(keepends=True) if "# ###" not in line), "utf-8")
    # Alembic ends each list of arguments with a comma, which ruff reads as "one a line"; a table reads better whole.
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", "--config", "format.skip-magic-trailing-comma=true", str(written)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
