"""What tests of scenarios may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.harness.inside import Inside, inside
from tests.scenarios.harness.stage import Stage


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stage, Inside]]:
    """A stage on an installation in this process, with parts that can be broken."""
    with inside(tmp_path, monkeypatch) as made:
        yield made
