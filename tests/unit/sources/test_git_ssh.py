"""Git over ssh: what ssh is told, and what becomes of what it says."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.unit.sources.repositories import SMALL, Repository
from trueup.errors import SourceDenied, SourceMisconfigured, SourceTimeout, SourceUnavailable
from trueup.model.listing import History
from trueup.sources import network
from trueup.sources.git import ssh
from trueup.testing.source_origin import contents, look

SSH = """#!/bin/sh
printf '%s\\n' "$@" > "{place}/arguments"
env > "{place}/environment"
{body}
"""
SERVE = 'for last; do :; done\ncd "{place}/srv" && eval "$(printf %s "$last" | sed s:/:./:)"'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository behind a stand-in for ssh, which runs on this machine what it is asked to run on the other."""
    repository = Repository(tmp_path)
    repository.write("a.md", b"text")
    repository.commit()
    stand_in(repository, SERVE.format(place=tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("203.0.113.7", 22))])
    return repository


def stand_in(repository: Repository, body: str) -> None:
    program = repository.place / "bin" / "ssh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(SSH.format(place=repository.place, body=body))
    program.chmod(0o755)


def said_to(repository: Repository) -> list[str]:
    return (repository.place / "arguments").read_text().splitlines()


@pytest.mark.parametrize("url", ["ssh://git@git.test/repo.git", "git@git.test:repo.git", "ssh://git@git.test:2222/repo.git"])
def test_reading_over_ssh(repository: Repository, url: str) -> None:
    """Listing, reading and history work as over any other way."""
    source = repository.source(url)
    first = look(source)[1].revision
    assert contents(source) == {"a.md": b"text"}
    repository.write("b.md", b"more")
    repository.commit()
    assert look(source, previous=first)[1].history is History.FORWARD
    assert contents(source) == {"a.md": b"text", "b.md": b"more"}


def test_ssh_is_strict_and_pinned(repository: Repository) -> None:
    """No prompt, no unknown host, no configuration, no proxy: and the address is the one that was checked."""
    repository.source("ssh://git@git.test:2222/repo.git").revision()
    said = said_to(repository)
    options = {said[at + 1] for at, word in enumerate(said) if word == "-o"}
    assert said[:2] == ["-F", "/dev/null"]
    assert options >= {"BatchMode=yes", "StrictHostKeyChecking=yes", "ProxyCommand=none", "ProxyJump=none", "PermitLocalCommand=no", "ForwardAgent=no"}
    assert options >= {"HostName=203.0.113.7", "HostKeyAlias=[git.test]:2222"}
    assert said[-3:] == ["--", "git@git.test", "git-upload-pack '/repo.git'"]
    assert not any(option.startswith("Identity") for option in options)


def test_a_key_from_the_secret_is_the_only_one(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key of the source's own, neither the agent nor the user's keys are offered, and its known_hosts alone count."""
    secret = repository.place / "secret"
    secret.mkdir()
    (secret / "identity").write_text("key")
    (secret / "known_hosts").write_text("host")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("SECRET_OF_THE_HOUSE", "x")
    repository.source("git@git.test:repo.git", credentials=secret).revision()
    options = set(said_to(repository))
    assert options >= {f"IdentityFile={secret / 'identity'}", "IdentitiesOnly=yes", "IdentityAgent=none", f"UserKnownHostsFile={secret / 'known_hosts'}"}
    environment = (repository.place / "environment").read_text()
    assert "SSH_AUTH_SOCK" not in environment
    assert "SECRET_OF_THE_HOUSE" not in environment


def test_a_path_cannot_become_a_command(repository: Repository) -> None:
    """What stands in the path is quoted for the other side's shell."""
    with pytest.raises(SourceUnavailable):
        look(repository.source("ssh://git@git.test/x';touch${IFS}pwned;'"))
    assert not list(repository.place.rglob("pwned"))


@pytest.mark.parametrize(
    ("says", "error", "match"),
    [
        ("git@git.test: Permission denied (publickey).", SourceDenied, "accepts no key"),
        ("Host key verification failed.", SourceDenied, "host key"),
        ("fatal: 'x' does not appear to be a git repository", SourceUnavailable, "no such repository"),
        ("something else with a secret s3cret", SourceUnavailable, "breaks off"),
    ],
)
def test_what_ssh_says(repository: Repository, says: str, error: type[Exception], match: str) -> None:
    """The reason is told in our words; what ssh says is not repeated."""
    stand_in(repository, f'echo "{says}" >&2; exit 255')
    with pytest.raises(error, match=match) as caught:
        look(repository.source("git@git.test:repo.git"))
    assert "s3cret" not in str(caught.value)


def test_ssh_that_hangs_is_ended(repository: Repository) -> None:
    """The deadline ends the process, and no thread stays behind."""
    stand_in(repository, "exec sleep 30")
    before = threading.active_count()
    began = time.monotonic()
    with pytest.raises(SourceTimeout):
        look(repository.source("git@git.test:repo.git", timeout=0.4))
    assert time.monotonic() - began < 5
    time.sleep(0.1)
    assert threading.active_count() <= before + 1


def test_a_talkative_ssh_does_not_block(repository: Repository) -> None:
    """Megabytes of warnings beside the data change nothing."""
    stand_in(repository, "head -c 1000000 /dev/zero >&2\n" + SERVE.format(place=repository.place))
    assert contents(repository.source("git@git.test:repo.git")) == {"a.md": b"text"}


def test_refs_without_end_over_ssh(repository: Repository) -> None:
    """What comes over ssh is counted too."""
    stand_in(repository, "i=0; while [ $i -lt 3000 ]; do printf '00441111111111111111111111111111111111111111 refs/heads/branch00000\\n'; i=$((i+1)); done")
    with pytest.raises(SourceUnavailable, match="more bytes"):
        look(repository.source("git@git.test:repo.git", bounds=SMALL))


def test_forbidden_addresses_are_refused_before_ssh_starts(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh is never started towards the metadata service."""
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("169.254.169.254", 22))])
    with pytest.raises(SourceMisconfigured):
        look(repository.source("git@git.test:repo.git"))
    assert not (repository.place / "arguments").exists()


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("ssh://git@h.test/a/b.git", ("git", "h.test", 22, "/a/b.git")),
        ("ssh://h.test:99/a", (None, "h.test", 99, "/a")),
        ("git@h.test:a/b.git", ("git", "h.test", 22, "a/b.git")),
    ],
)
def test_ssh_urls(url: str, parts: tuple[object, ...]) -> None:
    """Both spellings of an ssh URL."""
    assert ssh.split(url) == parts
