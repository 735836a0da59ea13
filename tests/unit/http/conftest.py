from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.unit.gate.world import World
from trueup.surfaces.http.app import create_app
from trueup.surfaces.http.surface import Surface


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def surface(world: World) -> Surface:
    return Surface(world.gate)


@pytest.fixture
def http(surface: Surface) -> Iterator[TestClient]:
    """A client without a token."""
    with TestClient(create_app(surface)) as client:
        yield client


@pytest.fixture
def alice(world: World, http: TestClient) -> TestClient:
    http.headers["Authorization"] = f"Bearer {world.token()}"
    return http


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, TestClient]]:
    """An empty world and a client without a token, for tests that are refused before anything changes."""
    made = World(tmp_path_factory.mktemp("shared"))
    with TestClient(create_app(Surface(made.gate))) as client:
        yield made, client
    made.close()


@pytest.fixture
def anyone(shared: tuple[World, TestClient]) -> TestClient:
    """The shared client, without a token."""
    return shared[1]


@pytest.fixture
def someone(shared: tuple[World, TestClient]) -> Iterator[TestClient]:
    """The shared client, as alice."""
    world, client = shared
    client.headers["Authorization"] = f"Bearer {world.token()}"
    yield client
    del client.headers["Authorization"]
