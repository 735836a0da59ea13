"""Credentials of sources: as the Secret is now, in files that only we can read, and never in a message."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.operator.server import Server
from trueup.errors import ClusterForbidden, SourceMisconfigured, SourceUnavailable
from trueup.model.listing import Complete, Content, Item, Presence, Scope
from trueup.operator.secrets import Folder, WithSecret, secret_data

PLACE = "/api/v1/namespaces/team/secrets/login"


def secret(**values: str) -> dict[str, object]:
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}}


class Reader:
    """A connector that shows which password it would use."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.closed = folder, False

    def revision(self) -> str:
        return (self.folder / "password").read_text()

    def observe(self, scope: Scope, selection: object, previous: str | None) -> Iterator[Item | Complete]:
        yield Complete(revision=(self.folder / "password").read_text())

    def read(self, uri: str, version: str, limit: int) -> Content:
        return Content(b"", version)

    def check(self, uri: str, version: str) -> Presence:
        return Presence.SAME

    def watch(self, hint: object) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def server() -> Server:
    made = Server()
    made.put(PLACE, secret(username="alice", password="one"))
    return made


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Folder:
    return Folder(tmp_path / "credentials" / "uid", lambda: secret_data(server, "team", "login"))


def test_a_rotated_secret_takes_effect_at_the_next_look(server: Server, folder: Folder) -> None:
    """Whole and partial looks read the Secret anew; a key that is gone is gone."""
    source = WithSecret(folder, lambda: Reader(folder.place))
    assert source.revision() == "one"
    server.put(PLACE, secret(password="two"))
    assert source.revision() == "two"
    assert not (folder.place / "username").exists()
    server.put(PLACE, secret(password="three"))
    assert list(source.observe(Scope(("a",)), None, None)) == [Complete(revision="three")]  # type: ignore[arg-type]


def test_only_we_can_read_the_files_and_they_go(server: Server, folder: Folder) -> None:
    """0700 and 0600, nothing half-written beside them, and nothing left when the source is closed."""
    source = WithSecret(folder, lambda: Reader(folder.place))
    assert stat.S_IMODE(folder.place.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.place.iterdir()} == {"username": 0o600, "password": 0o600}
    source.close()
    assert not folder.place.exists()


def test_each_look_asks_by_name_once(server: Server, folder: Folder) -> None:
    """A GET of the one Secret, in the source's namespace; nothing is listed."""
    source = WithSecret(folder, lambda: Reader(folder.place))
    server.calls.clear()
    source.revision()
    list(source.observe(Scope(), None, None))  # type: ignore[arg-type]
    assert server.calls == [("get", PLACE)]


def test_what_is_wrong_is_a_sentence_without_values(server: Server, folder: Folder) -> None:
    """A missing Secret and a missing right are the tenant's to mend, and say how; an API server that is away is an outage."""
    server.objects.clear()
    with pytest.raises(SourceMisconfigured, match="there is no Secret login in its namespace"):
        folder.refresh()
    server.fault = ClusterForbidden(why="no")
    with pytest.raises(SourceMisconfigured, match="bind the ClusterRole trueup-source-reader"):
        folder.refresh()
    server.fault = None
    server.put(PLACE, {"data": {"password": "not base64!"}})
    with pytest.raises(SourceUnavailable) as told:
        folder.refresh()
    assert "not base64!" not in str(told.value)
