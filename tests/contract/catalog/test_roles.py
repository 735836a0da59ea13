"""What the database itself forbids, whatever the code does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.contract.catalog.conftest import Clocks
from tests.contract.catalog.shelf import Shelf
from trueup.catalog import asking, audit, history, migrate, roles, settling
from trueup.catalog.history import Record
from trueup.catalog.opening import open_store
from trueup.catalog.schema import metadata
from trueup.catalog.store import Store
from trueup.errors import CatalogError
from trueup.model.listing import Presence


class Catalog:
    """A catalog with its owner, and stores of the two roles."""

    def __init__(self, url: str) -> None:
        self.owner = sa.create_engine(url, poolclass=sa.NullPool)
        mark = uuid.uuid4().hex[:8]
        self.names = {role: f"Role {role}-{mark}" for role in ("gate", "operator")}  # names that want to be quoted
        with self.owner.begin() as connection:
            for name in self.names.values():
                connection.exec_driver_sql(f'CREATE ROLE "{name}" LOGIN')
        self.grant()
        self.gate, self.operator = (open_store(str(make_url(url).set(username=self.names[role])), Clocks()) for role in ("gate", "operator"))

    def grant(self) -> None:
        with self.owner.begin() as connection:
            roles.grant(connection, **self.names)

    def close(self) -> None:
        self.gate.close()
        self.operator.close()
        with self.owner.begin() as connection:
            for name in self.names.values():
                connection.exec_driver_sql(f'DROP OWNED BY "{name}"')
                connection.exec_driver_sql(f'DROP ROLE "{name}"')


@pytest.fixture
def catalog(postgres_catalog: str) -> Iterator[Catalog]:
    made = Catalog(postgres_catalog)
    yield made
    made.close()


def refused(store: Store, statement: str) -> None:
    with pytest.raises(CatalogError, match="InsufficientPrivilege"):
        store.write(lambda tx: tx.run(sa.text(statement)))


def note(store: Store) -> None:
    store.write(lambda tx: tx.audit("Config", principal="x", object="x", decision="Done"))


@pytest.mark.parametrize("role", ["gate", "operator"])
def test_nobody_rewrites_the_audit_log(catalog: Catalog, role: str) -> None:
    """Both add to it; neither changes what is there, nor the tables."""
    store = getattr(catalog, role)
    note(store)
    for statement in ("UPDATE audit SET reason = 'x'", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit", "CREATE TABLE more (a INT)"):
        refused(store, statement)
    with store.read() as read:
        assert len(list(audit.export(read))) == 1


def test_a_gate_cannot_touch_what_truth_is_made_of(catalog: Catalog) -> None:
    """Documents, revisions, texts, lists, tombstones: read, and nothing else."""
    tables = set(metadata.tables) - set(roles.GATE)
    assert {"source", "acl", "document", "revision", "chunk", "body", "tombstone", "generation", "resource", "meta"} <= tables
    for table in sorted(tables):
        column = next(iter(metadata.tables[table].c)).name
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"INSERT INTO {table} ({column}) VALUES (NULL)",
            f"TRUNCATE {table}",
        ):
            refused(catalog.gate, statement)
        with catalog.gate.read() as read:
            read.rows(sa.text(f"SELECT * FROM {table}"))


def test_a_gate_deletes_nothing_at_all(catalog: Catalog) -> None:
    """Not its own records either: they are what retractions are told by."""
    for table in roles.GATE:
        refused(catalog.gate, f"DELETE FROM {table}")


def test_a_gate_does_its_work(catalog: Catalog) -> None:
    """It records answers, revokes, asks; also when it repeats itself."""
    record = Record("ret_1", 1.0, 0, "user:u", {}, "keyed", "query", "scope", {"results": []}, (), (history.Delivered("p", 1, "d"),))
    catalog.gate.write(lambda tx: history.record(tx, record))
    for _ in range(2):
        catalog.gate.write(lambda tx: history.revoke(tx, "token", "t", 60.0, "user:u"))
        catalog.gate.write(lambda tx: asking.ask(tx, 7, "a.md", "v1"))
    catalog.gate.write(lambda tx: tx.allot())
    with catalog.operator.read() as read:
        (question,) = asking.pending(read, catalog.operator.clock.now())
        assert history.recorded(read, "ret_1") is not None
    refused(catalog.gate, "UPDATE ask SET presence = 'Same'")
    catalog.operator.write(lambda tx: asking.answer(tx, question.id, Presence.SAME))
    with catalog.gate.read() as read:
        assert asking.answer_to(read, question.id) == asking.Answer(Presence.SAME)


def test_an_operator_does_its_work(catalog: Catalog) -> None:
    """It declares, publishes, removes, purges, and finds a prepared catalog prepared."""
    catalog.operator.write(lambda tx: migrate.prepare(tx.connection))
    shelf = Shelf(catalog.operator)
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    shelf.remove("a.md")
    until = shelf.store.clock.now() + 1
    assert shelf.store.write(lambda tx: settling.purge(tx, shelf.source, until)) == 1
    assert shelf.served() == {"b.md": "beta"}


def test_granting_again_takes_back_what_is_not_theirs(catalog: Catalog) -> None:
    """Idempotent, and it narrows: a right given by hand is gone after it."""
    with catalog.owner.begin() as connection:
        connection.exec_driver_sql(f'GRANT ALL ON audit TO "{catalog.names["gate"]}"')
    catalog.gate.write(lambda tx: tx.run(sa.text("DELETE FROM audit")))
    catalog.grant()
    refused(catalog.gate, "DELETE FROM audit")
    note(catalog.gate)
