"""Both catalogs, for every test of the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.contract.catalog.shelf import Shelf
from tests.postgres import Postgres
from trueup.catalog import migrate
from trueup.catalog.opening import open_store
from trueup.catalog.store import Store

Opener = Callable[[], Store]


class Clocks:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture(scope="session")
def prepared_postgres(postgres_server: Postgres) -> Iterator[str]:
    """The name of a database with the catalog's tables, to be copied: making them takes longer than most tests."""
    with postgres_server.database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            migrate.prepare(connection)
        yield make_url(url).database or ""


@pytest.fixture
def postgres_catalog(postgres_server: Postgres, prepared_postgres: str) -> Iterator[str]:
    """The URL of an empty catalog."""
    with postgres_server.database(prepared_postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty catalog, of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_catalog"))
    made = f"sqlite:///{tmp_path / 'catalog.db'}"
    store = open_store(made, Clocks())
    store.write(lambda tx: migrate.prepare(tx.connection))
    store.close()
    return made


@pytest.fixture
def opened(url: str) -> Iterator[Opener]:
    """Opens the catalog, as often as it is called: each is what another process would have."""
    stores: list[Store] = []

    def open_() -> Store:
        stores.append(open_store(url, Clocks()))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Opener) -> Store:
    return opened()


@pytest.fixture
def shelf(store: Store) -> Shelf:
    return Shelf(store)
