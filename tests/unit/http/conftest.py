from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.unit.gate.world import World
from trueup.surfaces.http.app import Surface, create_app


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
