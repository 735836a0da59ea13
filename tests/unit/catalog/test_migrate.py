"""The schema: made at once, migrated to the same, never touched by older code."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from trueup.catalog import migrate
from trueup.catalog.schema import metadata
from trueup.catalog.store import SqliteStore
from trueup.errors import CatalogError


@contextlib.contextmanager
def memory():
    """A connection to an empty SQLite database."""
    with sa.create_engine("sqlite://", poolclass=sa.NullPool).begin() as connection:
        yield connection


@pytest.fixture
def empty():
    with memory() as connection:
        yield connection


def shape(connection: sa.Connection) -> dict[str, Any]:
    """Everything about an SQLite schema that a query or a promise could depend on."""
    found: dict[str, Any] = {}
    for name, ddl in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"):
        indexes = {
            index.name: (index.unique, index.partial, tuple(connection.exec_driver_sql(f"PRAGMA index_xinfo('{index.name}')").all()))
            for index in connection.exec_driver_sql(f"PRAGMA index_list('{name}')")
        }
        where = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (name,)).all()
        found[name] = {
            "columns": {column[1]: tuple(column[2:]) for column in connection.exec_driver_sql(f"PRAGMA table_xinfo('{name}')")},
            "indexes": indexes,
            "where": {index: " ".join(sql.split()) for index, sql in where},
            "references": sorted(tuple(row[2:]) for row in connection.exec_driver_sql(f"PRAGMA foreign_key_list('{name}')")),
            "autoincrement": "AUTOINCREMENT" in ddl,
            "rowid": "WITHOUT ROWID" not in ddl,
        }
    return found


def test_the_migrations_end_at_the_schema(empty):
    """An old database, migrated, has the very tables that a new one is given: types, defaults, partial indexes, ids never reused."""
    migrate.upgrade(empty)
    migrated = shape(empty)
    assert compare_metadata(MigrationContext.configure(empty), metadata) == [], "schema.py changed: make migration NAME=what_it_does"
    with memory() as connection:
        migrate.prepare(connection)
        made = shape(connection)
    assert migrated == made
    assert made["tombstone"]["autoincrement"]
    assert not made["delivery"]["rowid"]


def test_the_comparison_can_fail(empty):
    """The test above sees one missing index, one other default, one table with another kind of id."""
    migrate.prepare(empty)
    before = shape(empty)
    empty.exec_driver_sql("DROP INDEX ix_tombstone_seq")
    assert shape(empty) != before
    assert compare_metadata(MigrationContext.configure(empty), metadata) != []


def test_the_migrations_end_at_the_schema_on_postgresql(postgres_url):
    """The same holds on PostgreSQL."""
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        migrate.upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_server_default": False}), metadata) == []
        migrate.prepare(connection)
        assert migrate.current(connection) == migrate.head()


def test_a_new_postgresql_database_is_prepared_by_many_at_once(postgres_url):
    """Replicas that start together make one schema, and none of them fails."""
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)

    def start(_: int) -> str | None:
        with engine.begin() as connection:
            migrate.prepare(connection)
            return migrate.current(connection)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(start, range(4))) == {migrate.head()}
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT id, value, at FROM sequence")).all() == [(1, 0, 0.0)]


def test_preparing_twice_changes_nothing(empty):
    """A restart keeps the commit counter where it was."""
    migrate.prepare(empty)
    empty.exec_driver_sql("UPDATE sequence SET value = 41, at = 7.5")
    before = shape(empty)
    migrate.prepare(empty)
    assert shape(empty) == before
    assert empty.exec_driver_sql("SELECT id, value, at FROM sequence").all() == [(1, 41, 7.5)]


def test_an_older_database_is_migrated(empty, monkeypatch):
    """A database behind the newest migration is brought up, not refused and not left."""
    ran = []
    migrate.prepare(empty)
    monkeypatch.setattr(migrate, "_known", lambda: {migrate.current(empty), "9999"})
    monkeypatch.setattr(migrate, "upgrade", ran.append)
    migrate.prepare(empty)
    assert ran == [empty]


def test_a_newer_database_is_refused(empty):
    """Code that does not know the schema does not touch it, and says what to install."""
    migrate.prepare(empty)
    empty.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = shape(empty)
    with pytest.raises(CatalogError, match=r"has schema 9999, and this Trueup knows up to .*Install"):
        migrate.prepare(empty)
    assert shape(empty) == before


def test_the_head_is_alembics():
    """What is read from file names without Alembic is what Alembic finds by following the migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [migrate.head()]
    assert {revision.revision for revision in script.walk_revisions()} == migrate._known()


class WallClock:
    def now(self) -> float:
        return time.time()


def test_a_start_does_not_pay_for_alembic(tmp_path):
    """Neither a new home nor a restart imports Alembic, and making the tables is a small part of a second."""
    script = (
        "import sys, sqlalchemy as sa\n"
        "from trueup.catalog import migrate\n"
        f"engine = sa.create_engine('sqlite:///{tmp_path / 'a.db'}')\n"
        "for _ in range(2):\n"
        "    with engine.begin() as connection:\n"
        "        migrate.prepare(connection)\n"
        "sys.exit('alembic' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    store = SqliteStore(tmp_path / "b.db", WallClock())
    began = time.perf_counter()
    store.write(lambda tx: migrate.prepare(tx.connection))
    assert time.perf_counter() - began < 2.0  # 0.04 s measured; the bound is for a busy machine
    with store.read() as read:
        assert read.sequence() == 0
    store.close()
