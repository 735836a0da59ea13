"""What the embedded index must survive: a second owner, kills, damaged and foreign folders, and the engine's own traps."""

import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import qdrant_edge as engine

from trueup.errors import HomeLocked, IndexFailure
from trueup.index import edge
from trueup.index.edge import EdgeIndex
from trueup.index.keys import FOREIGN
from trueup.testing.index_contract import EVERYTHING, HYBRID, QUESTION, found, keys, point, point_id

NAME = HYBRID.collection


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def filled(home: Path) -> Iterator[EdgeIndex]:
    index = EdgeIndex(home)
    index.ensure(HYBRID)
    index.upsert(HYBRID, [point(number) for number in range(1, 11)])
    yield index
    index.close()


def reopened(home: Path) -> EdgeIndex:
    index = EdgeIndex(home)
    index.ensure(HYBRID)
    return index


def run(home: Path, body: str) -> subprocess.Popen[str]:
    """A process of its own that has the index open as `index`."""
    lines = f"""
        import sys
        from pathlib import Path
        from trueup.errors import *
        from trueup.index import edge
        from trueup.testing.index_contract import *
        index = edge.EdgeIndex(Path({str(home)!r}))
        index.ensure(HYBRID)
    """
    code = textwrap.dedent(lines) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


class Recorder:
    """A shard that notes what it was asked, and may fail."""

    def __init__(self, shard: engine.EdgeShard, failing: str = "", error: BaseException | None = None) -> None:
        self.shard, self.failing, self.error, self.asked = shard, failing, error, []

    def __getattr__(self, name: str):
        def call(*arguments, **named):
            self.asked.append(name)
            if name == self.failing and self.error is not None:
                raise self.error
            return getattr(self.shard, name)(*arguments, **named)

        return call


def test_a_second_owner_is_refused_before_it_can_do_harm(filled: EdgeIndex, home: Path) -> None:
    """The engine is not even asked by a second owner, here or in another process, and the first goes on."""
    with pytest.raises(HomeLocked, match="Stop it first"):
        EdgeIndex(home)
    other = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; from trueup.index.edge import EdgeIndex; EdgeIndex(Path({str(home)!r}))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "HomeLocked" in other.stderr
    filled.upsert(HYBRID, [point(11)])
    filled.close()
    assert found(reopened(home)) == list(range(1, 12))


def test_keeps_what_was_written(filled: EdgeIndex, home: Path) -> None:
    """Closing and opening keeps points, keys and order, and gives the lock back."""
    filled.put_keys(HYBRID, [(point_id(1), keys(1, acl=2))])
    filled.close()
    index = reopened(home)
    assert found(index) == list(range(2, 11))
    assert index.recovered == []
    index.close()


def test_survives_kills(home: Path) -> None:
    """After kill -9 at any moment of writing, the index opens, has all that was acknowledged, and agrees with itself."""
    for pause in (3, 12):
        writer = run(
            home,
            """
            number = 1
            while True:
                index.upsert(HYBRID, [point(number + n, held=keys(number + n, acl=1 + number % 2)) for n in range(20)])
                index.put_keys(HYBRID, [(point_id(number + n), keys(number + n, acl=1)) for n in range(10)])
                index.delete(HYBRID, [point_id(number + 19)])
                print(number, flush=True)
                number += 20
            """,
        )
        for _ in range(pause):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, writer.communicate()[0].split())])
        index = reopened(home)
        held = dict(index.scroll(HYBRID, None, 100_000))
        expected = {point_id(start + n) for start in range(1, acknowledged + 1, 20) for n in range(19)}
        # Writers of earlier rounds began at 1 too, so nothing but the one cut off may be missing.
        assert index.recovered == []
        assert expected <= held.keys()
        assert FOREIGN not in held.values()
        live = {hit.id for hit in index.search(HYBRID, QUESTION, EVERYTHING, 100_000)}
        assert live == {one for one, value in held.items() if value.acl == 1}
        index.close()


def test_a_refused_write_does_not_come_back(home: Path) -> None:
    """Should the engine refuse what our checks let through, a crash right after changes nothing of what was there then."""
    writer = run(
        home,
        """
        index.upsert(HYBRID, [point(1)])
        edge.check_points = lambda *_: None
        try:
            index.upsert(HYBRID, [point(2), point(3, (1.0, 1.0)), point(4)])
        except TrueupError as error:
            print(error, flush=True)
        print(*index.present(HYBRID, [point_id(n) for n in (1, 2, 3, 4)]), flush=True)
        sys.stdin.read()
        """,
    )
    assert "writing failed" in writer.stdout.readline()
    then = writer.stdout.readline().split()
    writer.kill()
    writer.communicate()
    index = reopened(home)
    assert index.recovered == []
    assert list(index.present(HYBRID, [point_id(n) for n in (1, 2, 3, 4)])) == then
    assert then == [point_id(1)]
    index.close()


def damage(folder: Path, pattern: str, content: bytes | None) -> None:
    """Overwrite, or with None remove, every file in `folder` that matches; at least one must."""
    files = list(folder.glob(pattern))
    assert files
    for file in files:
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)


DAMAGES = {
    "a broken log": ("wal/open-*", b"x"),
    "a broken configuration": ("edge_config.json", b"{"),
    "a segment without its description": ("segments/*/segment.json", None),
    "a file on which the engine panics": ("segments/*/vector_storage-dense/deleted/status.dat", b""),
    "vectors lost without a word": ("segments/*/vector_storage-dense/vectors/status.dat", None),
    "payload lost": ("segments/*/payload_storage/page_0.dat", None),
}


@pytest.mark.parametrize(("pattern", "content"), DAMAGES.values(), ids=DAMAGES.keys())
def test_begins_anew_when_damaged(filled: EdgeIndex, home: Path, pattern: str, content: bytes | None) -> None:
    """A damaged collection does not break the start: it is moved aside, named, and an empty one serves."""
    filled.close()
    damage(home / NAME, pattern, content)
    index = reopened(home)
    assert index.recovered == [NAME]
    assert (home / f"{NAME}.broken-1").is_dir()
    assert index.collections() == [NAME]
    index.upsert(HYBRID, [point(1)])
    index.close()
    index = reopened(home)
    assert (found(index), index.recovered) == ([1], [])
    index.close()


def test_keeps_one_broken_folder(filled: EdgeIndex, home: Path) -> None:
    """A disk that goes on failing is not filled with what was moved aside; dropping the collection erases that too."""
    filled.close()
    for _ in range(3):
        damage(home / NAME, "edge_config.json", b"{")
        index = reopened(home)
        index.close()
    assert sorted(entry.name for entry in home.glob("*.broken-*")) == [f"{NAME}.broken-3"]
    index = reopened(home)
    index.drop(NAME)
    assert list(home.glob(f"{NAME}*")) == []
    index.close()


@pytest.mark.parametrize("kind", ["a file", "a folder of something else", "an empty folder", "another model's collection"])
def test_begins_anew_when_foreign(home: Path, kind: str) -> None:
    """Whatever stands where the collection should be, the start goes on."""
    home.mkdir()
    if kind == "a file":
        (home / NAME).write_text("hello")
    elif kind == "another model's collection":
        vectors = {"dense": engine.EdgeVectorParams(size=8, distance=engine.Distance.Cosine)}
        (home / NAME).mkdir()
        engine.EdgeShard.create(str(home / NAME), engine.EdgeConfig(vectors=vectors)).close()
    else:
        (home / NAME).mkdir()
        if kind != "an empty folder":
            (home / NAME / "edge_config.json").write_text("hello")
    index = reopened(home)
    index.upsert(HYBRID, [point(1)])
    assert found(index) == [1]
    assert index.recovered == ([] if kind == "an empty folder" else [NAME])
    index.close()


def test_an_older_copy_is_used_as_it_is(filled: EdgeIndex, home: Path, tmp_path: Path) -> None:
    """A restored copy of the folder opens with what it had: only the catalog knows that it is old."""
    filled.close()
    shutil.copytree(home, tmp_path / "copy")
    index = reopened(home)
    index.delete(HYBRID, [point_id(1)])
    index.close()
    shutil.rmtree(home)
    shutil.move(tmp_path / "copy", home)
    index = reopened(home)
    assert (found(index), index.recovered) == (list(range(1, 11)), [])
    index.close()


def test_a_missing_folder_is_made(filled: EdgeIndex, home: Path) -> None:
    """index/ is disposable."""
    filled.close()
    shutil.rmtree(home)
    index = reopened(home)
    assert found(index) == []
    index.close()


def test_damage_that_shows_late_is_healed_by_ensure(filled: EdgeIndex, home: Path) -> None:
    """A page that cannot be read lets the collection open; the failed read marks it, and the next `ensure` begins anew."""
    filled.close()
    (page,) = (home / NAME).glob("segments/*/payload_storage/page_0.dat")
    with page.open("r+b") as file:
        file.write(b"\xff" * 512)
    index = reopened(home)
    with pytest.raises(IndexFailure, match="reading failed"):
        index.scroll(HYBRID, None, 10)
    index.ensure(HYBRID)
    assert (index.recovered, index.scroll(HYBRID, None, 10)) == ([NAME], [])
    index.close()


def test_a_passing_fault_costs_nothing(filled: EdgeIndex) -> None:
    """A read that failed once makes `ensure` prove the collection, which keeps it when it can be read."""
    sound = filled._shards[NAME]
    filled._shards[NAME] = Recorder(sound, "query", OSError("too many open files"))
    with pytest.raises(IndexFailure):
        found(filled)
    filled.ensure(HYBRID)
    assert (found(filled), filled.recovered) == (list(range(1, 11)), [])


def test_a_collection_that_kills_us_is_set_aside(filled: EdgeIndex, home: Path) -> None:
    """A folder that ends the process each time it is opened is not opened a third time; one unlucky kill costs nothing."""
    filled.close()
    mark = home / f".{NAME}.opening"
    mark.write_bytes(b".")
    index = reopened(home)
    assert (index.recovered, mark.exists()) == ([], False)
    index.close()
    mark.write_bytes(b"..")
    index = reopened(home)
    assert (index.recovered, mark.exists()) == ([NAME], False)
    index.close()


def test_a_drop_that_was_cut_off_is_finished(filled: EdgeIndex, home: Path) -> None:
    """What a killed drop left is erased at the next start, and is no collection."""
    filled.close()
    (home / NAME).rename(home / f"{NAME}.dropped")
    index = EdgeIndex(home)
    assert (index.collections(), list(home.glob("*.dropped"))) == ([], [])
    index.close()


def test_opening_gives_room_back(filled: EdgeIndex, home: Path) -> None:
    """What was erased takes no room for ever: opening clears it out, and what is left is found and written as before."""
    filled.upsert(HYBRID, [point(number) for number in range(11, 1501)])
    filled.delete(HYBRID, [point_id(number) for number in range(11, 1401)])
    filled.close()
    index = reopened(home)
    assert index._shards[NAME].optimize() is False
    index.upsert(HYBRID, [point(2000)])
    assert found(index, limit=1000) == [*range(1, 11), *range(1401, 1501), 2000]
    index.close()


def test_strays_are_seen_and_erased(filled: EdgeIndex) -> None:
    """Points that others wrote, with numbers for ids or payloads of their own, read as foreign and can be erased."""
    shard = filled._shards[NAME]
    shard.update(engine.UpdateOperation.upsert_points([engine.Point(7, {}, {"tenant": "team"}), engine.Point(point_id(99), {}, {"note": 1})]))
    shard.update(engine.UpdateOperation.overwrite_payload([point_id(1)], {"state": "live", "tenant": "team", "acl": 1}))
    seen = dict(filled.scroll(HYBRID, None, 100))
    assert {one for one, value in seen.items() if value == FOREIGN} == {"7", point_id(99), point_id(1)}
    assert next(iter(seen)) == "7"
    assert filled.scroll(HYBRID, "7", 1) == [(point_id(1), FOREIGN)]
    filled.put_keys(HYBRID, [(point_id(1), keys(1))])
    filled.delete(HYBRID, ["7", point_id(99)])
    assert FOREIGN not in dict(filled.scroll(HYBRID, None, 100)).values()
    assert found(filled) == list(range(1, 11))


def test_the_engine_is_not_asked_for_nothing(filled: EdgeIndex) -> None:
    """An empty scope is answered without the engine, for which an empty filter is everything."""
    recorder = filled._shards[NAME] = Recorder(filled._shards[NAME])
    filled.search(HYBRID, QUESTION, edge.Scope(tenants=frozenset(), acls=frozenset({1})), 5)
    assert recorder.asked == []
    filled.search(HYBRID, QUESTION, EVERYTHING, 5)
    assert recorder.asked == ["query", "query"]


def test_writes_in_batches_and_flushes_when_told(filled: EdgeIndex) -> None:
    """600 points are ten batches, so that a search waits for one at most; a flush, which stops every search, only when told."""
    recorder = filled._shards[NAME] = Recorder(filled._shards[NAME])
    filled.upsert(HYBRID, [point(number) for number in range(100, 700)])
    assert recorder.asked == ["update"] * 10
    filled.flush()
    filled.flush()
    assert recorder.asked == ["update"] * 10 + ["flush"]


class PanicException(BaseException):
    """Named as the engine's own, which is a BaseException and cannot be imported."""


@pytest.mark.parametrize(
    "error", [Exception("Service runtime error"), PanicException("index out of bounds"), OSError("disk full")], ids=["error", "panic", "system"]
)
@pytest.mark.parametrize("method", ["update", "flush", "query"])
def test_every_fault_of_the_engine_is_ours(filled: EdgeIndex, method: str, error: BaseException) -> None:
    """Callers see one kind of error, whatever the engine raises; what they do not catch would end their thread."""
    sound = filled._shards[NAME]
    filled._shards[NAME] = Recorder(sound, method, error)
    call = {
        "update": lambda: filled.upsert(HYBRID, [point(1)]),
        "flush": lambda: (filled.upsert(HYBRID, [point(1)]), filled.flush()),
        "query": lambda: found(filled),
    }[method]
    with pytest.raises(IndexFailure):
        call()
    filled._shards[NAME] = sound


def test_an_interrupt_is_not_swallowed(filled: EdgeIndex) -> None:
    """Ctrl-C stays Ctrl-C."""
    sound = filled._shards[NAME]
    filled._shards[NAME] = Recorder(sound, "query", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        found(filled)
    filled._shards[NAME] = sound


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """A file in place of index/ is one sentence, not a traceback of the system's."""
    (tmp_path / "index").write_text("hello")
    with pytest.raises(IndexFailure, match="cannot be used"):
        EdgeIndex(tmp_path / "index")


def test_the_folder_is_private(filled: EdgeIndex, home: Path) -> None:
    """Nobody else reads what the index knows."""
    assert home.stat().st_mode & 0o777 == 0o700
