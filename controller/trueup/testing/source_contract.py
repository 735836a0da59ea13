"""What every connector must do, as a suite of tests. How to use it: docs/writing-a-connector.md.

Subclass SourceContract in a test module and give it an `origin` fixture: the test's hand on the real thing at the other
side. Needs pytest.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from trueup.errors import SourceError, TooLarge, VersionGone
from trueup.model.listing import Complete, History, Kind, Presence, Scope, covered
from trueup.ports import Source
from trueup.testing.source_origin import LIMIT, Origin, Selected, contents, documents, look, move

START = {"a.md": b"a", "a/z.md": b"z", "a-b.md": b"ab", "docs/1.md": b"one", "docs/deep/2.md": b"two", "docs2.md": b"docs2", "empty.md": b""}

NAMES = ["a b.md", "100%25.md", "caf\u00e9.md", "cafe\u0301.md", "\u3042/\U0001f600.md", "'quoted\".md", "$(x);&.md", "A.md", "-x.md", "#?.md", "~"]
"""Uris of names that connectors have got wrong."""


class SourceContract:
    """The promises of a connector. Subclass, and give it a fixture `origin` that starts empty."""

    @pytest.fixture
    def source(self, origin: Origin) -> Source:
        """A connector onto an origin that holds START."""
        for uri, data in START.items():
            origin.write(uri, data)
        origin.commit()
        return origin.open()

    def test_it_is_a_source(self, source: Source) -> None:
        """It has every method of the port."""
        assert isinstance(source, Source)

    def test_everything_is_listed_and_can_be_read(self, source: Source) -> None:
        """What is there is listed, in order, with Complete at the end, and reads as it was written."""
        assert contents(source) == START

    def test_names_survive(self, origin: Origin, source: Source) -> None:
        """A uri that was listed leads back to the same document, however it is spelt."""
        for uri in NAMES:
            origin.write(uri, uri.encode())
        origin.commit()
        assert contents(source) == START | {uri: uri.encode() for uri in NAMES}

    def test_sizes_are_true(self, source: Source) -> None:
        """A size that the listing tells is the size."""
        for uri, item in documents(source).items():
            assert item.size in (None, len(START[uri]))

    def test_an_edit_changes_the_version_of_that_document_alone(self, origin: Origin, source: Source) -> None:
        """An edit that keeps the length is an edit."""
        before = documents(source)
        origin.write("docs/1.md", b"ONE")
        origin.commit()
        after = documents(source)
        assert {uri for uri in before if after[uri].version != before[uri].version} == {"docs/1.md"}
        assert source.read("docs/1.md", after["docs/1.md"].version, LIMIT).data == b"ONE"

    def test_quiet_versions_stay(self, source: Source) -> None:
        """Looking and reading change no version, or every look would load everything again."""
        first = documents(source)
        contents(source)
        assert documents(source) == first

    def test_what_is_deleted_is_not_listed(self, origin: Origin, source: Source) -> None:
        """There is no phantom in a listing."""
        documents(source)
        origin.delete("docs/deep/2.md")
        origin.delete("a.md")
        origin.commit()
        assert documents(source).keys() == START.keys() - {"docs/deep/2.md", "a.md"}

    def test_everything_deleted_is_an_empty_listing(self, origin: Origin, source: Source) -> None:
        """An origin that was emptied and can be read lists nothing, and says so completely: the guard decides."""
        for uri in START:
            origin.delete(uri)
        origin.commit()
        assert look(source)[0] == []

    def test_a_rename_is_an_absence_and_a_presence(self, origin: Origin, source: Source) -> None:
        """The old uri is gone, the new one there; an identity, where there is one, is the same."""
        before = documents(source)["docs/1.md"]
        origin.rename("docs/1.md", "new/1.md")
        origin.commit()
        after = documents(source)
        assert after.keys() == START.keys() - {"docs/1.md"} | {"new/1.md"}
        assert after["new/1.md"].identity == before.identity

    def test_an_identity_is_never_lent(self, origin: Origin, source: Source) -> None:
        """A new document with other bytes is not taken for one that went."""
        before = documents(source)["docs/1.md"]
        origin.delete("docs/1.md")
        origin.write("new.md", b"other bytes")
        origin.commit()
        after = documents(source)["new.md"].identity
        assert after is None or after != before.identity

    @pytest.mark.parametrize(
        "prefixes",
        [
            ("docs",),
            ("docs/deep",),
            ("a",),
            ("a.md",),
            ("docs/1.md", "docs"),
            ("nowhere",),
            ("doc",),
            ("docs/1.md/x", "empty.md"),
            ("docs2.md", "a", "docs/deep", "a.md"),
        ],
        ids=" ".join,
    )
    def test_a_scope_lists_what_it_covers(self, source: Source, prefixes: tuple[str, ...]) -> None:
        """A partial look sees exactly what a whole one sees at or below its prefixes; nothing at one that is not there."""
        scope = Scope(prefixes)
        items, end = look(source, scope)
        assert [item for item in items if scope.covers(item.uri)] == [item for item in look(source)[0] if scope.covers(item.uri)]
        assert all(scope.covers(item.uri) for item in items)
        assert end.gaps == ()

    def test_pruning_loses_nothing(self, source: Source) -> None:
        """Whatever a connector leaves out for the selection's sake, nothing that the selection takes is among it."""
        selection = Selected(("docs/deep", "a"))
        items, end = look(source, selection=selection)
        assert {item.uri for item in items if selection.takes(item.uri)} == {"docs/deep/2.md", "a/z.md"}
        assert end.gaps == ()

    def test_what_must_not_be_read_is_not_a_document(self, origin: Origin, source: Source) -> None:
        """A link is listed as skipped, and reading it fails."""
        if not origin.skip("docs/link.md"):
            return
        origin.commit()
        (item,) = (item for item in look(source)[0] if item.uri == "docs/link.md")
        assert item.kind is not Kind.DOCUMENT
        assert documents(source).keys() == START.keys()
        with pytest.raises(SourceError):
            source.read(item.uri, item.version, LIMIT)

    def test_reading_gives_the_version_asked_for_or_nothing(self, origin: Origin, source: Source) -> None:
        """After an edit the old version reads as its own bytes or not at all: never as the new ones."""
        old = documents(source)["docs/1.md"].version
        origin.write("docs/1.md", b"ONE")
        origin.commit()
        try:
            read = source.read("docs/1.md", old, LIMIT)
        except VersionGone:
            return
        assert origin.keeps_versions
        assert (read.data, read.version) == (START["docs/1.md"], old)

    def test_reading_what_is_not_there_is_version_gone(self, origin: Origin, source: Source) -> None:
        """A uri that no listing had, a version that never was, a document that was deleted: all are gone, none is an outage."""
        items = documents(source)
        version = items["docs/1.md"].version
        asked = [
            ("nowhere.md", version),
            ("docs/1.md", "no version"),
            ("docs/1.md", ""),
            ("docs", version),
            ("../a.md", version),
            ("/a.md", version),
            ("", version),
        ]
        for uri, at in asked:
            with pytest.raises(VersionGone):
                source.read(uri, at, LIMIT)
        if not origin.keeps_versions:
            origin.delete("docs/1.md")
            origin.commit()
            with pytest.raises(VersionGone):
                source.read("docs/1.md", version, LIMIT)

    def test_the_limit_holds(self, source: Source) -> None:
        """A document of exactly the limit is read, one byte more is TooLarge."""
        version = documents(source)["docs/1.md"].version
        assert source.read("docs/1.md", version, 3).data == b"one"
        with pytest.raises(TooLarge):
            source.read("docs/1.md", version, 2)

    def test_checking_asks_the_origin(self, origin: Origin, source: Source) -> None:
        """Same, changed and absent are told apart as of now, without a new listing."""
        version = documents(source)["docs/1.md"].version
        assert source.check("docs/1.md", version) is Presence.SAME
        assert source.check("docs/none.md", version) is Presence.ABSENT
        origin.write("docs/1.md", b"ONE")
        origin.commit()
        assert source.check("docs/1.md", version) is Presence.CHANGED
        origin.delete("docs/1.md")
        origin.commit()
        assert source.check("docs/1.md", version) is Presence.ABSENT

    def test_the_probe_is_sound(self, origin: Origin, source: Source) -> None:
        """A probe that answers the same has nothing behind it that changed; a listing names the revision it saw."""
        first = source.revision()
        assert (first is not None) == origin.probes
        assert source.revision() == first
        assert look(source)[1].revision == first
        if first is None:
            return
        seen = {first}
        steps: list[Callable[[], None]] = [lambda: origin.write("docs/1.md", b"ONE"), lambda: origin.rename("a.md", "b.md"), lambda: origin.delete("b.md")]
        for step in steps:
            step()
            origin.commit()
            revision = source.revision()
            assert revision is not None
            assert revision not in seen
            seen.add(revision)

    def test_history(self, origin: Origin, source: Source) -> None:
        """Forward, back and rewritten are told apart by the revision decided last, also by a connector that is new."""
        first = look(source)[1].revision
        assert look(source, previous=first)[1].history is History.FORWARD
        origin.write("docs/1.md", b"ONE")
        origin.commit()
        second = look(source, previous=first)[1]
        assert second.history is History.FORWARD
        if not origin.keeps_history:
            return
        origin.rewrite()
        rewritten = look(source, previous=second.revision)[1]
        assert rewritten.history is History.REWRITTEN
        origin.rewind()
        for asked in (source, origin.open()):
            assert look(asked, previous=first)[1] == Complete(first, (), History.FORWARD)
        assert look(source, previous=second.revision)[1].history is History.OLDER

    def test_an_outage_is_never_a_listing(self, origin: Origin, source: Source) -> None:
        """Out of reach, every call that needs the origin raises a SourceError; afterwards all is as before."""
        before = documents(source)
        version = before["docs/1.md"].version
        origin.cut()
        for call in (
            lambda: list(source.observe(Scope(), Selected(), None)),
            lambda: look(source, Scope(("docs",))),
            lambda: source.check("docs/1.md", version),
            lambda: look(origin.open()),
        ):
            with pytest.raises(SourceError) as caught:
                call()
            assert not isinstance(caught.value, VersionGone | TooLarge)
            assert "{" not in str(caught.value)
        origin.restore()
        assert documents(source) == before

    def test_a_place_that_cannot_be_read_is_a_gap(self, origin: Origin, source: Source) -> None:
        """What lies outside the gap is listed; what lies inside is neither listed nor called gone."""
        if not origin.obstruct("docs/deep"):
            return
        items, end = look(source)
        gaps = tuple(gap.prefix for gap in end.gaps)
        assert covered("docs/deep/2.md", gaps)
        assert {item.uri for item in items} >= {uri for uri in START if not covered(uri, gaps)}
        assert not covered("docs/1.md", gaps)

    def test_any_course_of_events(self, origin: Origin, source: Source) -> None:
        """Through a random course of edits, listing and bytes are exactly what is there: no phantom, no loss."""
        chance = random.Random(20261121)  # noqa: S311 - a course that can be repeated
        model = dict(START)
        for step in range(8):
            for _ in range(chance.randrange(1, 5)):
                move(chance, origin, model, step)
            origin.commit()
            assert contents(source) == model

    def test_reading_from_many_threads(self, source: Source) -> None:
        """Reads and checks may run side by side, and beside a listing."""
        items = documents(source)
        wrong: list[object] = []

        def read() -> None:
            for uri, item in items.items():
                try:
                    if source.read(uri, item.version, LIMIT).data != START[uri] or source.check(uri, item.version) is not Presence.SAME:
                        wrong.append(uri)
                except SourceError as error:
                    wrong.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        documents(source)
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_a_listing_may_be_left_early(self, source: Source) -> None:
        """A look that is given up half way spoils nothing for the next."""
        seen = iter(source.observe(Scope(), Selected(), None))
        next(seen)
        del seen
        assert documents(source).keys() == START.keys()

    def test_closing_twice(self, source: Source) -> None:
        """Close may be called again, and on a connector that was never used."""
        source.close()
        source.close()
