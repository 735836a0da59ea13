"""PostgreSQL for the tests: fresh for each, and gone with the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.postgres import Postgres

ROOT = Path(__file__).parents[3]


@pytest.fixture
def engine(postgres_url: str) -> sa.Engine:
    return sa.create_engine(postgres_url, poolclass=sa.NullPool)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_an_empty_database(engine: sa.Engine, turn: str) -> None:
    """What one test writes the next does not see, although the server is the same."""
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == []
        connection.execute(sa.text("CREATE TABLE left_over (turn text)"))
        connection.execute(sa.text("INSERT INTO left_over VALUES (:turn)"), {"turn": turn})
        assert connection.execute(sa.text("SHOW server_encoding")).scalar() == "UTF8"


def test_a_database_is_dropped_under_an_open_connection(postgres_server: Postgres) -> None:
    """A test that leaks a connection does not break the next one."""
    with postgres_server.database() as url:
        leaked = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))
    with leaked, pytest.raises(psycopg.OperationalError):
        leaked.execute("SELECT 1")


def test_no_server_outlives_a_killed_run() -> None:
    """Killed with SIGKILL, a test run leaves no PostgreSQL behind."""
    code = "import os, signal\nfrom tests.postgres import Postgres\nserver = Postgres().__enter__()\nprint(server.home, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    home = Path(result.stdout.strip())
    try:
        assert result.returncode == -signal.SIGKILL, result.stderr
        end = time.monotonic() + 5
        while _answers(home):
            assert time.monotonic() < end, "PostgreSQL is still running"
            time.sleep(0.05)
    finally:
        shutil.rmtree(home)


def test_stopping_removes_everything() -> None:
    """Nothing is left in the temporary folder."""
    with Postgres() as server:
        assert _answers(server.home)
    assert not server.home.exists()


def _answers(home: Path) -> bool:
    try:
        psycopg.connect(host=os.fspath(home), user="postgres", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True
