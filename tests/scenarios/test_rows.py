"""Each row that can be played in seconds. Several run at a time, on one server; a test waits for its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.scenarios import rows
from tests.scenarios.harness.rows import ROWS, Outcome, Rig

assert rows
JOBS = 5
"""Rows at a time: most of one is waiting."""
PLAYED = {row.name: row for row in ROWS if not row.long}


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """The outcome of every row that was selected, as soon as there is one. The slow ones begin first."""
    wanted = [PLAYED[item.callspec.params["name"]] for item in request.session.items if item.function is test_row]
    rig = Rig(tmp_path_factory.mktemp("rows"))
    try:
        rig.prepare()
        with ThreadPoolExecutor(JOBS) as pool:
            yield {row.name: pool.submit(rig.play, row) for row in sorted(wanted, key=lambda row: (not row.quick, not row.own))}
            pool.shutdown(cancel_futures=True)
    finally:
        rig.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PLAYED)
def test_row(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    """What happens, and what must hold: see the function of the row, and the table that `make scenarios` prints."""
    outcome = outcomes[name].result()
    assert outcome.error is None, outcome.error
    assert not outcome.violations, [f"{v.kind} at {v.source}: {v.what}" for v in outcome.violations]
