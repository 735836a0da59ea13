"""What becomes true with each unit of work, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.catalog.shelf import PLANNED, Shelf
from trueup.catalog import declaring, generations, history, listings, looking, placing, publishing, reporting, resources, serving, settling
from trueup.catalog.declaring import Slot
from trueup.catalog.generations import BUILTIN, Planned
from trueup.catalog.history import Cursor, Delivered, Record
from trueup.catalog.looking import Removal
from trueup.catalog.publishing import Cached
from trueup.errors import EpochLost, NotFound
from trueup.model.index import GenerationSpec, PointState
from trueup.model.listing import Gap
from trueup.model.resources import parse_manifest


def test_what_is_published_is_served(shelf: Shelf) -> None:
    """Listed is not served; published is, with its text."""
    shelf.list({"a.md": "one\ntwo", "b.md": "three"})
    assert shelf.served() == {}
    assert shelf.publish({"a.md": "one\ntwo", "b.md": "three"}) == [True, True]
    assert shelf.served() == {"a.md": "one\ntwo", "b.md": "three"}
    assert shelf.wanted() == []
    assert [row[0] for row in shelf.sql("SELECT chunks FROM source")] == [3]


def test_an_edit_supersedes(shelf: Shelf) -> None:
    """The old text dies in the commit in which the new becomes live, and its points are to be erased."""
    shelf.put({"a.md": "old"})
    shelf.put({"a.md": "new"})
    assert shelf.served() == {"a.md": "new"}
    assert shelf.tombstones() == [("a.md", "Superseded")]
    with shelf.store.read() as read:
        points = [row.point for row in settling.outbox(read, 10)]
        assert len(points) == 1
        assert settling.desired(read, shelf.generation, points)[points[0]].state is PointState.DEAD


def test_a_removal_is_at_once_true(shelf: Shelf) -> None:
    """Gone with its commit, with a tombstone that names the observation; coming back is an addition."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    decision = shelf.remove("a.md")
    assert shelf.served() == {"b.md": "beta"}
    with shelf.store.read() as read:
        (buried,) = listings.tombstones(read, [shelf.source], 1 << 62)
    assert (buried.uri, buried.reason, buried.observation) == ("a.md", "Deleted", decision.observation)
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    assert shelf.served() == {"a.md": "alpha", "b.md": "beta"}


def test_a_hold_hides_and_only_its_own_id_erases(shelf: Shelf) -> None:
    """Held documents are not served; another observation's id confirms nothing."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    decision = shelf.decision(held=[known.id for known in shelf.known().values()], hold_reason="all gone")
    shelf.store.write(lambda tx: looking.apply(tx, decision))
    assert shelf.served() == {}
    epoch = shelf.row().epoch
    assert shelf.store.write(lambda tx: placing.confirm(tx, shelf.source, epoch, "another", "user:owner")) == 0
    assert shelf.tombstones() == []
    assert shelf.store.write(lambda tx: placing.confirm(tx, shelf.source, epoch, decision.observation, "user:owner")) == 2
    assert shelf.tombstones() == [("a.md", "Deleted"), ("b.md", "Deleted")]
    assert shelf.row().held_observation is None


def test_what_is_held_comes_back(shelf: Shelf) -> None:
    """A restored document is served again, and the hold ends with its last."""
    shelf.put({"a.md": "alpha"})
    held = shelf.decision(held=[shelf.known()["a.md"].id], hold_reason="all gone")
    shelf.store.write(lambda tx: looking.apply(tx, held))
    restored = shelf.decision(restores=[shelf.known()["a.md"].id])
    shelf.store.write(lambda tx: looking.apply(tx, restored))
    assert shelf.served() == {"a.md": "alpha"}
    assert shelf.row().held_observation is None


def test_a_withdrawn_source_is_dead_and_fences_its_passes(shelf: Shelf) -> None:
    """Everything of it dies in one commit; a look and a publication from before write nothing more."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    shelf.list({"c.md": "gamma"})
    (wanted,) = shelf.wanted()
    late, decision = shelf.publication(wanted, "gamma"), shelf.decision()
    assert shelf.store.write(lambda tx: declaring.withdraw(tx, shelf.source, retain=False, principal="user:owner"))
    assert shelf.served() == {}
    assert sorted(shelf.tombstones()) == [("a.md", "SourceDeleted"), ("b.md", "SourceDeleted")]
    assert shelf.store.write(lambda tx: publishing.publish(tx, [late])) == [False]
    with pytest.raises(EpochLost):
        shelf.store.write(lambda tx: looking.apply(tx, decision))
    assert shelf.served() == {}
    assert not shelf.store.write(lambda tx: declaring.withdraw(tx, shelf.source, retain=False, principal="user:owner"))


def test_a_version_that_is_no_longer_wanted_is_not_published(shelf: Shelf) -> None:
    """What was read before the document changed again stays out, and its points are left to be erased."""
    shelf.list({"a.md": "first"})
    (wanted,) = shelf.wanted()
    late = shelf.publication(wanted, "first")
    shelf.list({"a.md": "second"})
    assert shelf.store.write(lambda tx: publishing.publish(tx, [late])) == [False]
    with shelf.store.read() as read:
        assert [row.point for row in settling.outbox(read, 10)] == late.points[shelf.generation]


def test_the_same_bytes_are_only_touched(shelf: Shelf) -> None:
    """Another version of the same bytes moves no point."""
    shelf.put({"a.md": "alpha"})
    shelf.list({"a.md": "other version"})
    (wanted,) = shelf.wanted()
    same = publishing.Prepared(digest=shelf.sql("SELECT digest FROM revision")[0][0])
    now = shelf.store.clock.now()
    epoch = shelf.row().epoch
    assert shelf.store.write(lambda tx: publishing.touch(tx, wanted, same.digest, "settings", epoch, now))
    assert shelf.served() == {"a.md": "alpha"}
    assert shelf.wanted() == []
    assert shelf.tombstones() == []


def test_a_failure_waits_and_a_refusal_ends(shelf: Shelf) -> None:
    """A failed document keeps what it had; a refused one loses it."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    shelf.list({"a.md": "alpha2", "b.md": "beta2"})
    a, b = shelf.wanted()
    epoch, now = shelf.row().epoch, shelf.store.clock.now()
    shelf.store.write(lambda tx: publishing.fail(tx, a, epoch, "FetchFailed", "no", now + 100))
    shelf.store.write(lambda tx: publishing.refuse(tx, b, epoch, "TooLarge", "no", "settings"))
    assert shelf.served() == {"a.md": "alpha"}
    assert shelf.wanted() == []
    with shelf.store.read() as read:
        assert publishing.next_retry(read) == pytest.approx(now + 100)
        facts = reporting.facts(read, shelf.source, 60.0, None)
    assert facts is not None
    assert (facts.live, facts.failed, facts.tombstones, facts.chunks) == (1, 2, 1, 1)


def test_what_outlived_its_time_expires_once(shelf: Shelf) -> None:
    """An ended revision is tombstoned; one that came in its place meanwhile is not."""
    now = shelf.store.clock.now()
    shelf.put({"a.md": "alpha", "b.md": "beta"}, expires_at=now - 1)
    with shelf.store.read() as read:
        ended = placing.expired(read, now)
    assert len(ended) == 2
    shelf.put({"b.md": "beta, renewed"})
    shelf.store.write(lambda tx: placing.expire(tx, ended))
    assert shelf.served() == {"b.md": "beta, renewed"}
    assert sorted(shelf.tombstones()) == [("a.md", "Expired"), ("b.md", "Superseded")]


def test_purge_erases_text_that_nothing_uses(shelf: Shelf) -> None:
    """Text and vectors go with their last chunk; what another document shares stays; tombstones stay."""
    shelf.put({"a.md": "alpha\nshared", "b.md": "shared"})
    digests = [row[0] for row in shelf.sql("SELECT digest FROM body")]
    shelf.store.write(lambda tx: publishing.keep_vectors(tx, "fingerprint", [Cached(d, b"\0" * 32, None) for d in digests]))
    shelf.remove("a.md")
    until = shelf.store.clock.now() + 1
    assert shelf.store.write(lambda tx: settling.purge(tx, shelf.source, until)) == 1
    assert shelf.store.write(lambda tx: settling.purge(tx, shelf.source, until)) == 0
    assert shelf.served() == {"b.md": "shared"}
    assert [row[0] for row in shelf.sql("SELECT count(*) FROM body UNION ALL SELECT count(*) FROM vector")] == [1, 1]
    assert shelf.tombstones() == [("a.md", "Deleted")]
    assert set(shelf.known()) == {"b.md"}


def test_settling_takes_exactly_what_was_read(shelf: Shelf) -> None:
    """A row that came to light after the batch was read is not lost with it, even if its number is smaller."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    shelf.remove("a.md", "b.md")
    with shelf.store.read() as read:
        first, second = settling.outbox(read, 10)
    shelf.store.write(lambda tx: settling.settled(tx, [second]))
    with shelf.store.read() as read:
        assert settling.outbox(read, 10) == [first]
        assert settling.unsettled(read) == 1


def test_a_generation_is_built_and_switched(shelf: Shelf) -> None:
    """The new one serves only once it has every live document; then the old one is forgotten."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    (old, new) = shelf.store.write(lambda tx: generations.plan(tx, BUILTIN, Planned("another", 4, False, {})))
    assert (old.serving, new.serving) == (True, False)
    assert not shelf.store.write(lambda tx: generations.switch(tx, BUILTIN, new.spec.id))
    with shelf.store.read() as read:
        lacking = generations.unbuilt(read, BUILTIN, new.spec.id, 0, 10)
        rows = [(row.revision_id, [(f"new-{row.id}", chunk.point_id) for chunk in generations.chunks_of(read, row.revision_id)]) for row in lacking]
    for revision, pairs in rows:
        assert shelf.store.write(lambda tx, r=revision, p=pairs: generations.build(tx, r, new.spec.id, p))  # type: ignore[misc]
    assert shelf.store.write(lambda tx: generations.switch(tx, BUILTIN, new.spec.id))
    assert shelf.served() == {"a.md": "alpha", "b.md": "beta"}
    with shelf.store.read() as read:
        assert serving.serving(read) == {BUILTIN: GenerationSpec(new.spec.id, "another", 4, sparse=False)}
        (retired,) = generations.retired(read)
    assert shelf.store.write(lambda tx: generations.drop_chunks(tx, retired.spec.id)) == 2
    assert len(shelf.store.write(lambda tx: generations.plan(tx, BUILTIN, Planned("another", 4, False, {})))) == 1


def test_a_gap_keeps_its_old_lease(shelf: Shelf) -> None:
    """Outside a gap the lease is renewed; inside it the document keeps the time at which it was vouched for."""
    shelf.put({"in/a.md": "alpha", "out.md": "beta"})
    before = shelf.row().verified_at
    decision = shelf.decision(gaps=(Gap("in", "no right"),))
    shelf.store.write(lambda tx: looking.apply(tx, decision))
    assert dict(tuple(row) for row in shelf.sql("SELECT uri, verified_at FROM document")) == {"in/a.md": before, "out.md": None}
    assert shelf.row().verified_at > before
    shelf.store.write(lambda tx: looking.renew(tx, shelf.source, shelf.row().epoch, 5e12))
    assert shelf.row().verified_at < 5e12
    shelf.store.write(placing.distrust)
    assert [row[0] for row in shelf.sql("SELECT verified_at FROM document UNION SELECT verified_at FROM source")] == [None]


def test_uris_are_in_the_order_of_their_code_points(shelf: Shelf) -> None:
    """As a listing is, whatever the database's language: a merge of the two depends on it."""
    uris = ["Z.md", "a b.md", "a-b.md", "a.md", "a/b.md", "ab.md", "é.md", "中.md", "😀.md"]
    shelf.list(dict.fromkeys(uris, "text"))
    assert list(shelf.known()) == sorted(uris)


def test_scopes_take_a_folder_and_nothing_beside_it(shelf: Shelf) -> None:
    """`a` is `a/…`, not `ab` nor `a-b`."""
    shelf.list(dict.fromkeys(["a-b.md", "a/b.md", "a/c/d.md", "a0.md", "ab.md"], "text"))
    with shelf.store.read() as read:
        assert [known.uri for known in looking.known(read, shelf.source, looking.Scope(("a", "ab.md")))] == ["a/b.md", "a/c/d.md", "ab.md"]


def test_a_narrowed_slot_holds_with_its_commit(shelf: Shelf) -> None:
    """Readers are one row; what a declaration does not name any more admits nobody."""
    shelf.declare(generation=2, slots=(Slot(-1, "[]", "Internal"), Slot(0, "[]", "Public")))
    shelf.declare(generation=3, slots=(Slot(-1, "[]", "Internal"),))
    with shelf.store.read() as read:
        assert [(slot.ordinal, slot.readers, slot.holds) for slot in sorted(serving.slots(read), key=lambda slot: slot.ordinal)] == [
            (-1, "[]", False),
            (0, "[]", False),
        ]


def test_a_source_declared_anew_under_its_name_begins_empty(shelf: Shelf) -> None:
    """Another uid is another source: the old one's documents are dead."""
    shelf.put({"a.md": "alpha"})
    second = shelf.declare(uid="another")
    assert second != shelf.source
    assert shelf.served() == {}
    with shelf.store.read() as read:
        assert declaring.find(read, "default", "docs") == second
        assert listings.incarnations(read, "default", "docs") == [shelf.source, second]


def test_excluding_and_reclassifying(shelf: Shelf) -> None:
    """What a narrower selection leaves out is gone; a document in another slot has its points settled."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    known = shelf.known()
    epoch = shelf.row().epoch
    shelf.store.write(lambda tx: placing.exclude(tx, shelf.source, epoch, [known["a.md"].id], "declared@2", "digest"))
    assert shelf.served() == {"b.md": "beta"}
    assert shelf.row().selection == "digest"
    shelf.store.write(lambda tx: placing.reclassify(tx, [(known["b.md"].id, 77)]))
    with shelf.store.read() as read:
        points = [row.point for row in settling.outbox(read, 10)]
        assert {keys.acl for keys in settling.desired(read, shelf.generation, points).values() if keys.document == known["b.md"].id} == {77}
        assert [found[0] for found in placing.documents(read, shelf.source, 0)] == [known["b.md"].id]


def test_what_was_ingested_otherwise_is_wanted_again(shelf: Shelf) -> None:
    """Other settings make rebuilds, which come after changes and serve meanwhile."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    assert shelf.store.write(lambda tx: placing.rebuild(tx, shelf.source, "others")) == 2
    assert shelf.store.write(lambda tx: placing.rebuild(tx, shelf.source, "others")) == 0
    assert [wanted.kind for wanted in shelf.wanted()] == [2, 2]
    assert len(shelf.served()) == 2


def test_lineage_by_digest(shelf: Shelf) -> None:
    """What left and came in one look with the same bytes was moved."""
    shelf.put({"a.md": "alpha"})
    shelf.list({"b.md": "alpha"}, removals=[Removal(shelf.known()["a.md"].id, "Deleted")])
    shelf.publish({"b.md": "alpha"})
    assert [tuple(row) for row in shelf.sql("SELECT uri, reason, successor FROM tombstone")] == [("a.md", "Moved", "b.md")]


def test_an_answer_is_recorded_and_retracted(shelf: Shelf) -> None:
    """Who got what is known; what died later is told, in order and from any place in it; what had died before is not."""
    shelf.put({"a.md": "alpha", "b.md": "beta"})
    with shelf.store.read() as read:
        seq = read.sequence()
    rows = shelf.sql("SELECT c.point_id, c.revision_id, c.digest FROM chunk c ORDER BY c.revision_id")
    deliveries = tuple(Delivered(*row) for row in rows)
    record = Record("ret_1", 1.0, seq, "user:u", {"k": 1}, "keyed", "the query", "scope", {"results": []}, (("p", 0.5, "Delivered"),), deliveries)
    shelf.store.write(lambda tx: history.record(tx, record))
    shelf.remove("a.md")
    shelf.remove("b.md")
    with shelf.store.read() as read:
        assert history.recorded(read, "ret_1") == Record(**{**{name: getattr(record, name) for name in Record.__slots__}, "deliveries": ()})
        both = history.retractions(read, "user:u", Cursor(0), 10)
        assert [found.chunk for found in both] == [rows[0][0], rows[1][0]]
        assert [found.chunk for found in history.retractions(read, "user:u", both[0].cursor, 10)] == [rows[1][0]]
        assert history.retractions(read, "user:other", Cursor(0), 10) == []
        assert {death.reason for death in history.deaths(read, [row[1] for row in rows]).values()} == {"Deleted"}


def test_text_with_a_nul_is_no_obstacle(shelf: Shelf) -> None:
    """A query or a front matter may hold one; whatever becomes of it, nothing fails for it."""
    record = Record("ret_1", 1.0, 0, "user:u", {"q": "a\0b"}, "keyed", "a\0b", "scope", {"results": []}, ())
    shelf.store.write(lambda tx: history.record(tx, record))
    with shelf.store.read() as read:
        found = history.recorded(read, "ret_1")
    assert found is not None
    assert found.request == {"q": "a\0b"}
    assert found.text in {"a\0b", "a\ufffdb"}


def test_a_long_conflict_key_is_no_obstacle(shelf: Shelf) -> None:
    """Two documents with one key have one key in the catalog, however long it is; the rest of the batch is published."""
    key = "".join(f"{n:x}" for n in range(5000))
    documents = {"a.md": "alpha", "b.md": "beta", "c.md": "gamma"}
    shelf.list(documents)
    made = [shelf.publication(wanted, documents[wanted.uri]) for wanted in shelf.wanted()]
    keyed = [replace(p, prepared=replace(p.prepared, conflict_key=key if n < 2 else "short\0")) for n, p in enumerate(made)]
    assert shelf.store.write(lambda tx: publishing.publish(tx, keyed)) == [True, True, True]
    assert len({row[0] for row in shelf.sql("SELECT conflict_key FROM revision")}) == 2


def test_resources_live_in_the_catalog(shelf: Shelf) -> None:
    """Created, replaced, deleted, with the numbers that a cluster's would have."""
    manifest = {
        "apiVersion": "trueup.dev/v1alpha1",
        "kind": "ContextSource",
        "metadata": {"name": "docs"},
        "spec": {"source": {"type": "Directory", "directory": {"path": "/srv"}}},
    }
    made = shelf.store.write(lambda tx: resources.put(tx, parse_manifest(manifest)))
    assert shelf.store.write(lambda tx: resources.set_status(tx, "ContextSource", "default", "docs", {"a": 1}, uid=made["metadata"]["uid"]))
    with shelf.store.read() as read:
        assert [found["status"] for found in resources.list_(read, "ContextSource")] == [{"a": 1}]
    shelf.store.write(lambda tx: resources.delete(tx, "ContextSource", "default", "docs"))
    with shelf.store.read() as read, pytest.raises(NotFound):
        resources.get(read, "ContextSource", "default", "docs")


def test_events_are_kept_to_the_last_two_hundred(shelf: Shelf) -> None:
    """Old events go; the page of the newest is in order."""

    def many(tx: object) -> None:
        for number in range(230):
            reporting.event(tx, shelf.source, "Normal", "Fetched", f"{number}")  # type: ignore[arg-type]
        reporting.trim(tx, shelf.source)  # type: ignore[arg-type]

    shelf.store.write(many)
    with shelf.store.read() as read:
        found = listings.events(read, [shelf.source], 1 << 62, 1000)
    assert [event.message for event in found][:2] == ["229", "228"]
    assert 200 <= len(found) <= 201


def test_planning_the_same_again_changes_nothing(shelf: Shelf) -> None:
    """One serving generation an index, however often it is planned."""
    again = shelf.store.write(lambda tx: generations.plan(tx, BUILTIN, PLANNED))
    assert [a.spec.id for a in again] == [shelf.generation]
