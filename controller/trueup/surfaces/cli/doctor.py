"""`doctor`: what is wrong with this installation, and what to do about it. Each check looks at one thing and changes nothing."""

from __future__ import annotations

import enum
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.environment import Environment, environment
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.screen import Table, line, say

FREE_BYTES = 1 << 30
"""Below a GiB of room a load can fill the disk before anyone looks."""

WATCHES, INSTANCES = 65536, 128
"""inotify limits that hold a tree of as many folders, and as many watched sources: the defaults of current kernels."""

CLOCK_SECONDS = 5.0
"""A clock behind the catalog's by more than this makes content stale until it is read again."""


class State(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw: the thing, how it is, and what to do where it is not well."""

    what: str
    state: State
    message: str


def doctor() -> None:
    """Look for what is wrong with this installation. Exits 1 if something must be done."""
    where = environment()
    findings = [finding for check in CHECKS for finding in check(where)]
    Table(["CHECK", "STATE", "MESSAGE"]).rows([[f.what, f.state, f.message] for f in findings])
    bad = sum(f.state is State.BAD for f in findings)
    if bad:
        raise Failed(f"{bad} {'thing is' if bad == 1 else 'things are'} wrong; the table says what to do.")
    say("Nothing is wrong." if all(f.state is State.OK for f in findings) else "It works; see the warnings.")


def check_home(where: Environment) -> Iterator[Finding]:
    """The home is there, ours, and nobody else's to read."""
    home = where.home
    if not home.is_dir():
        yield Finding("home", State.BAD, f"{home} is no folder: set TRUEUP_HOME, or start `trueup serve` once.")
        return
    found = home.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        yield Finding("home", State.BAD, f"{home} belongs to another user: run as that one, or take another home.")
    elif mode & 0o077:
        yield Finding("home", State.BAD, f"{home} has mode {mode:04o}: others can reach the keys; chmod 700 it.")
    else:
        yield Finding("home", State.OK, f"{home}, mode 0700")
    free = shutil.disk_usage(home).free
    if free < FREE_BYTES:
        yield Finding("room", State.WARN, f"only {free // (1 << 20)} MiB are free: make room before the catalog cannot be written.")
    else:
        yield Finding("room", State.OK, f"{free // (1 << 30)} GiB free")


def check_keys(where: Environment) -> Iterator[Finding]:
    """Keys are there, and readable by their owner alone."""
    keys = where.home / "keys"
    files = sorted(p for p in keys.rglob("*") if p.is_file()) if keys.is_dir() else []
    if not files:
        yield Finding("keys", State.WARN, "there are none yet: `trueup serve` or `trueup token` makes them.")
        return
    loose = [p.name for p in files if stat.S_IMODE(p.stat().st_mode) & 0o077]
    if loose:
        yield Finding("keys", State.BAD, f"others can read {', '.join(loose)}: chmod 600 them, and if that was so for long, make new keys.")
    else:
        yield Finding("keys", State.OK, f"{len(files)} files, mode 0600")


def check_catalog(where: Environment) -> Iterator[Finding]:
    """The catalog opens, has the schema of this version, and the clock is not behind it."""
    catalog = where.home / "catalog.db"
    if not catalog.is_file():
        yield Finding("catalog", State.WARN, "there is none yet: `trueup serve` makes it.")
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(catalog))}?mode=ro", uri=True, timeout=5)) as db:
            version = db.execute("SELECT version_num FROM alembic_version").fetchone()
            at = db.execute("SELECT at FROM sequence WHERE id = 1").fetchone()
            sound = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        yield Finding("catalog", State.BAD, f"it cannot be read ({line(error)}): stop the server and restore a backup.")
        return
    if sound != ("ok",):
        yield Finding("catalog", State.BAD, "it is damaged: stop the server and restore a backup.")
    else:
        yield Finding("catalog", State.OK, f"opens, schema {version[0] if version else 'unknown'}")
    behind = (at[0] if at else 0.0) - time.time()
    if behind > CLOCK_SECONDS:
        yield Finding("clock", State.BAD, f"this machine's clock is {behind:.0f} s behind the catalog's: set it, content is stale until then.")
    else:
        yield Finding("clock", State.OK, "not behind the catalog's")


def check_index(where: Environment) -> Iterator[Finding]:
    """The index folder is there; it may always be removed while the server is stopped."""
    if (where.home / "index").is_dir():
        yield Finding("index", State.OK, "there; it can be rebuilt from the catalog at any time")
    else:
        yield Finding("index", State.WARN, "there is none yet: `trueup serve` makes it from the catalog.")


def check_server(where: Environment) -> Iterator[Finding]:
    """A server answers and is ready."""
    try:
        with Api(where, lambda: None) as api:
            api.call("GET", "/readyz")
    except Failed as failure:
        yield Finding("server", State.BAD if failure.status else State.WARN, str(failure))
    else:
        yield Finding("server", State.OK, f"ready at {where.url}")


def check_watches(_: Environment) -> Iterator[Finding]:
    """The kernel lets us watch enough folders (Linux)."""
    for name, enough in (("max_user_watches", WATCHES), ("max_user_instances", INSTANCES)):
        try:
            limit = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            continue
        if limit < enough:
            yield Finding(
                "inotify",
                State.WARN,
                f"fs.inotify.{name} is {limit}: raise it with sysctl to {enough}, or changes in large folders are seen at the interval only.",
            )
        else:
            yield Finding("inotify", State.OK, f"fs.inotify.{name} is {limit}")


def check_model(_: Environment) -> Iterator[Finding]:
    """An embedding model is installed, and its files are what was built."""
    from trueup.errors import EmbeddingError
    from trueup.ingest import models

    have = models.installed()
    if not have:
        yield Finding("model", State.WARN, "none is installed, so search is by words only: `trueup models install`.")
    for found in have:
        try:
            models.verify(found)
        except EmbeddingError as error:
            yield Finding("model", State.BAD, str(error))
        else:
            yield Finding("model", State.OK, f"{found.pin.model} in {found.folder}")


CHECKS: tuple[Callable[[Environment], Iterator[Finding]], ...] = (
    check_home,
    check_keys,
    check_catalog,
    check_index,
    check_model,
    check_server,
    check_watches,
)
