"""Hook secrets in a cluster: the Secret that the source names, read by the gate itself, and asked for sparingly."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.unit.operator.server import Clock, Server
from trueup.catalog import migrate
from trueup.catalog.declaring import Declared, declare
from trueup.catalog.store import SqliteStore
from trueup.gate.cluster.hooks import HookSecrets

PLACE = "/api/v1/namespaces/team/secrets/hook"


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = SqliteStore(tmp_path / "catalog.db", Clock())
    made.write(lambda tx: migrate.prepare(tx.connection))
    for name, spec in (("signed", '{"hookSecretRef": {"name": "hook"}}'), ("plain", "{}")):
        declared = Declared(name, "team", name, 1, spec, "", "s", "a", False, ())
        made.write(lambda tx, d=declared: declare(tx, d, "test"))  # type: ignore[misc]
    return made


def test_the_secret_that_the_source_names(store: SqliteStore) -> None:
    """A source that names none, or that is not there, has none; whoever calls, the API server is asked at most every ten seconds."""
    server = Server()
    server.put(PLACE, {"data": {"secret": base64.b64encode(b"sesame\n").decode()}})
    secrets = HookSecrets(server, store)
    assert [secrets.of("team", name) for name in ("signed", "plain", "absent")] == ["sesame", None, None]
    for _ in range(100):
        secrets.of("team", "signed")
    assert server.calls == [("get", PLACE)]
    store.clock.pass_(11)  # type: ignore[attr-defined]
    server.objects.clear()
    assert secrets.of("team", "signed") is None
    assert secrets.of("team", "signed") is None
    assert len(server.calls) == 2
    store.close()
