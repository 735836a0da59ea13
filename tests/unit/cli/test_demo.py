"""The demo's own controls: what it asserts, and that its server never outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call, Server
from trueup.surfaces.cli import demo, stage
from trueup.surfaces.cli.connection import connect
from trueup.surfaces.cli.stage import Phantom


def answer(chunk: str, text: str) -> dict[str, object]:
    return {"results": [{"chunk": chunk, "text": text, "provenance": [{"uri": "a.rst"}]}]}


def test_a_phantom_is_noticed_by_id_and_by_text() -> None:
    """A dead chunk, or its text under another id, stops the demo; anything else does not."""
    dead = {"c1": "old text"}
    demo.no_phantom(answer("c2", "new text"), dead)
    for seen in (answer("c1", "anything"), answer("c2", "old text")):
        with pytest.raises(Phantom):
            demo.no_phantom(seen, dead)


def test_a_chunk_that_stays_alive_makes_the_demo_fail(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the gate goes on serving what was deleted, waiting for its end is a failure, not a longer wait."""
    monkeypatch.setattr(demo, "GONE_SECONDS", 0.1)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / demo.DELETED).write_text("old")
    phantom = {"results": [{"chunk": "c1", "text": "old", "provenance": [{"uri": demo.DELETED}]}]}

    def live(call: Call) -> tuple[int, object]:
        return 200, {"chunks": [{"chunk": c, "live": True} for c in call.body["chunks"]]}

    server.on("POST", "/v1/verify", live)
    with connect() as api, pytest.raises(Phantom):
        demo.after_deletion(api, tmp_path, phantom)


def test_a_failed_demo_exits_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it finds untrue is its exit code."""

    def story(_: Path) -> demo.Facts:
        raise Phantom("A dead chunk was served.")

    monkeypatch.setattr(demo, "story", story)
    assert demo.main() == 1
    assert "A dead chunk was served." in capsys.readouterr().err


def test_its_documents_are_real_and_each_text_is_in_one_of_them(tmp_path: Path) -> None:
    """The topics it deletes and edits are there, and no other document repeats them."""
    assert stage.write_topics(tmp_path / "docs") > 50
    texts = {p.name: p.read_text(encoding="utf-8") for p in (tmp_path / "docs").iterdir()}
    for name in (demo.DELETED, demo.EDITED):
        middle = texts[name][len(texts[name]) // 2 :][:200]
        assert [n for n, text in texts.items() if middle in text] == [name]
    assert {*demo.QUESTIONS.values(), *demo.PUBLISHED} <= set(texts)


@pytest.mark.parametrize("end", ["error", "sigterm"])
def test_its_server_ends_with_it(end: str, tmp_path: Path) -> None:
    """By an error or by SIGTERM: no server is left behind."""
    fake = textwrap.dedent("""
        import os, pathlib, time
        pathlib.Path("pid").write_text(str(os.getpid()))
        print("ready http://127.0.0.1:1", flush=True)
        time.sleep(60)
    """)
    body = 'raise SystemExit("error")' if end == "error" else 'print("up", flush=True); time.sleep(60)'
    script = textwrap.dedent(f"""
        import pathlib, sys, subprocess, time
        from trueup.surfaces.cli import stage
        real = subprocess.Popen
        stage.subprocess.Popen = lambda command, **options: real([sys.executable, "-c", {fake!r}], **options)
        with stage.serving(pathlib.Path(".")):
            {body}
    """)
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        if end == "sigterm":
            while (seen := process.stdout.readline()) and seen.strip() != "up":
                pass
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) != 0
    server = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{server}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
