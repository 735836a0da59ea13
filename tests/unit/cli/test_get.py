"""`get`: the shapes that scripts read and the table that people read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import yaml

from tests.unit.cli.conftest import Call, Ended, Server, at, source

Run = Callable[..., Ended]
LIST = "/v1/resources/contextsources/default"


def test_one_object_is_printed_exactly_as_the_api_has_it(server: Server, trueup: Run) -> None:
    """-o json and -o yaml print the object, unknown members and all."""
    answer = {**source(), "extra": {"überraschung": [1.5, None, "\u202e"]}}
    server.on("GET", at(), answer)
    assert json.loads(trueup("get", "source", "docs", "-o", "json").out) == answer
    assert yaml.safe_load(trueup("get", "ctxsrc", "default/docs", "-o", "yaml").out) == answer


def test_lists_are_lists_also_when_empty(server: Server, trueup: Run) -> None:
    """-o json prints {"kind": "List", "items": [...]}, over every page of the API."""
    pages: dict[str | None, Any] = {None: {"items": [source("a")], "next": "c1"}, "c1": {"items": [source("b")], "next": None}}
    server.on("GET", LIST, lambda call: (200, pages[call.query.get("after", [None])[0]]))
    assert json.loads(trueup("get", "sources", "-o", "json").out) == {"kind": "List", "items": [source("a"), source("b")]}
    server.on("GET", LIST, {"items": [], "next": None})
    assert json.loads(trueup("get", "sources", "-o", "json").out) == {"kind": "List", "items": []}
    ended = trueup("get", "sources")
    assert (ended.code, ended.out, ended.err) == (0, "", "Nothing found in default namespace.\n")


def test_the_table_has_the_printer_columns(server: Server, trueup: Run) -> None:
    """The columns are those of the resource in a cluster; wide adds three; a name cannot steer the terminal."""
    server.on("GET", LIST, {"items": [source("docs", message="3 documents\x1b[31m are\nservable.", revision="abc")], "next": None})
    head, row = trueup("get", "sources").out.splitlines()
    assert head.split() == ["NAME", "TYPE", "READY", "FRESH", "DOCS", "TOMBSTONES", "STATUS", "AGE"]
    assert row.split()[:6] == ["docs", "Directory", "True", "True", "3", "2"]
    assert "3 documents are servable." in row
    wide = trueup("get", "sources", "-o", "wide").out.splitlines()
    assert wide[0].split()[-3:] == ["REVISION", "CHUNKS", "INDEX"]
    assert wide[1].split()[-3:] == ["abc", "9", "default"]


def test_a_source_that_nobody_visited_yet_has_a_row(server: Server, trueup: Run) -> None:
    """An object without status is shown, with empty cells."""
    bare = source()
    del bare["status"]
    server.on("GET", LIST, {"items": [bare], "next": None})
    ended = trueup("get", "sources")
    assert ended.code == 0
    assert ended.out.splitlines()[1].split()[:2] == ["docs", "Directory"]


def test_all_namespaces(server: Server, trueup: Run) -> None:
    """-A lists every namespace, with a column for it."""
    server.on("GET", "/v1/resources/contextsources", {"items": [source(namespace="team")], "next": None})
    head, row = trueup("get", "sources", "-A").out.splitlines()
    assert (head.split()[0], row.split()[0]) == ("NAMESPACE", "team")
    assert trueup("get", "sources", "docs", "-A").code == 2


def test_tombstones_and_events_of_one_source_and_of_all(server: Server, trueup: Run) -> None:
    """NAME in `get tombstones NAME` is the source; without it, every source of the namespace is asked."""
    dead = {
        "uri": "a.md",
        "revision": None,
        "digest": "sha256:1",
        "reason": "Deleted",
        "at": "2026-11-21T12:00:00.000Z",
        "observation": "o1",
        "successor": None,
    }
    seen = {"type": "Warning", "reason": "FetchFailed", "message": "gone", "at": "2026-11-21T12:00:00.000Z"}
    server.on("GET", "/v1/sources/default/docs/tombstones", {"items": [dead], "next": None})
    server.on("GET", "/v1/sources/default/docs/events", {"items": [seen], "next": None})
    server.on("GET", LIST, {"items": [source(), source("deleted-meanwhile")], "next": None})
    for arguments in (("tombstones", "docs"), ("tombstones",), ("tombstones", "default/docs", "-n", "default")):
        assert json.loads(trueup("get", *arguments, "-o", "json").out) == {"kind": "List", "items": [{"source": "default/docs", **dead}]}
    assert trueup("get", "tombstones", "docs").out.splitlines()[1].split()[:3] == ["default/docs", "a.md", "Deleted"]
    assert "FetchFailed" in trueup("get", "events", "docs").out
    ended = trueup("get", "tombstones", "nosuch")
    assert (ended.code, ended.err.count("\n")) == (1, 1)


def test_absence_is_one_sentence_and_exit_1(server: Server, trueup: Run) -> None:
    """A name that is not there fails plainly."""
    ended = trueup("get", "source", "docs")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "error: There is no contextsource default/docs; `trueup get contextsources` lists what there is.\n"
    assert server.calls[0].authorization == "Bearer a-token"


def test_no_server_says_what_to_do(trueup: Run, monkeypatch: Any) -> None:
    """A refused connection names the URL and the command that starts a server."""
    monkeypatch.setenv("TRUEUP_URL", "http://127.0.0.1:9")
    ended = trueup("get", "sources")
    assert ended.code == 1
    assert ended.err.startswith("error: No server answers at http://127.0.0.1:9; start one with `trueup serve`")
    assert "Traceback" not in ended.err


def test_wrong_usage_is_exit_2(server: Server, trueup: Run) -> None:
    """Unknown kinds, options, commands and outputs are usage errors and ask nobody."""
    for arguments in (("get", "pods"), ("get",), ("get", "sources", "-o", "csv"), ("got",), ("get", "source", "a/b/c"), ("get", "source", "a/b", "-n", "c")):
        ended = trueup(*arguments)
        assert ended.code == 2, arguments
        assert ended.out == ""
        assert ended.err
    assert server.calls == []


def test_watch_prints_changed_rows_until_interrupted(server: Server) -> None:
    """-w prints each row once, again when it changed, and ends with 0 on SIGINT."""
    rows = [source(message="1 document is still being loaded.", ready="Unknown")]
    server.on("GET", LIST, lambda _: (200, {"items": rows, "next": None}))
    # A shell's background jobs ignore SIGINT and their children inherit that, so that the child asks for it.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from trueup.surfaces.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, "get", "sources", "-w"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(2)]
        seen = len(server.calls)
        while len(server.calls) < seen + 2:
            time.sleep(0.01)
        rows[0] = source()
        changed = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(10) == 0
    assert "still being loaded" in first[1]
    assert "servable" in changed
    assert rest == ""


def test_a_defect_is_a_sentence_too(server: Server, trueup: Run) -> None:
    """An answer of a shape that no server of ours gives ends in one sentence, not in a traceback."""

    def odd(_: Call) -> tuple[int, Any]:
        return 200, {"nonsense": True}

    server.on("GET", LIST, odd)
    ended = trueup("get", "sources")
    assert ended.code == 1
    assert ended.err.startswith("error: trueup failed unexpectedly (KeyError)")
    assert ended.err.count("\n") == 1
