"""The test's hand on the other side of a connector, and what the conformance suite does with it."""

from __future__ import annotations

import abc
import random
from dataclasses import dataclass

from trueup.model.listing import Complete, Item, Kind, Scope, covered
from trueup.ports import Source

LIMIT = 1 << 20


class Origin(abc.ABC):
    """The other side of a connector. What it writes is seen by the next call to a source, not before `commit`."""

    probes: bool = False
    """Whether `revision` answers."""
    keeps_history: bool = False
    """Whether `rewind` and `rewrite` work."""
    keeps_versions: bool = False
    """Whether an old version may still be read after it was replaced (a Git blob). It must be exactly the old bytes."""

    @abc.abstractmethod
    def open(self) -> Source:
        """A new connector for it."""

    @abc.abstractmethod
    def write(self, uri: str, data: bytes) -> None:
        """Create or edit the document `uri`."""

    @abc.abstractmethod
    def delete(self, uri: str) -> None:
        """Delete it, with the folders that it leaves empty if the origin knows folders."""

    @abc.abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Move it."""

    @abc.abstractmethod
    def cut(self) -> None:
        """Put the origin out of reach."""

    @abc.abstractmethod
    def restore(self) -> None:
        """Put it back as it was."""

    def commit(self) -> None:  # noqa: B027 - most origins need no such step
        """Make what was written visible, where that takes a step of its own."""

    def skip(self, uri: str) -> bool:
        """Put something at `uri` that must never be read (a link); False where the origin knows nothing of the kind."""
        del uri
        return False

    def obstruct(self, prefix: str) -> bool:
        """Make one place unreadable and leave all else; False where that cannot be arranged."""
        del prefix
        return False

    def rewind(self) -> None:
        """Go back to the commit before."""
        raise AssertionError("an origin with keeps_history says how")

    def rewrite(self) -> None:
        """Replace the last commit by another one with the same content."""
        raise AssertionError("an origin with keeps_history says how")


@dataclass(slots=True)
class Selected:
    """A selection of some folders; everything if there are none."""

    folders: tuple[str, ...] = ()
    digest: str = "for a test"

    def takes(self, uri: str) -> bool:
        """Whether `uri` lies below one of the folders."""
        return not self.folders or covered(uri, self.folders)

    def enters(self, folder: str) -> bool:
        """Whether `folder` is one of them, or on the way to one."""
        return self.takes(folder) or any(wanted.startswith(folder + "/") for wanted in self.folders)


def look(source: Source, scope: Scope | None = None, selection: Selected | None = None, previous: str | None = None) -> tuple[list[Item], Complete]:
    """One listing, which must be in order and end with Complete and nothing after it."""
    *lines, end = source.observe(scope or Scope(), selection or Selected(), previous)
    assert isinstance(end, Complete), "a listing ends with Complete"
    items = [line for line in lines if isinstance(line, Item)]
    assert len(items) == len(lines), "nothing comes after Complete"
    uris = [item.uri for item in items]
    assert uris == sorted(set(uris)), "a listing is in ascending order of uri by code point, each once"
    return items, end


def documents(source: Source) -> dict[str, Item]:
    """The documents of a listing without gaps, by uri."""
    items, end = look(source)
    assert end.gaps == ()
    return {item.uri: item for item in items if item.kind is Kind.DOCUMENT}


def contents(source: Source) -> dict[str, bytes]:
    """Every document of a listing, read at its listed version."""
    return {uri: source.read(uri, item.version, LIMIT).data for uri, item in documents(source).items()}


def move(chance: random.Random, origin: Origin, model: dict[str, bytes], step: int) -> None:
    """One random change, to the origin and to the model of it (at least two documents stay)."""
    known = sorted(model)
    new = f"{chance.choice('pqr')}/{chance.choice('stu')}/{chance.randrange(30)}.md"
    what = chance.choice(("write", "edit", "rename", "delete"))
    if what == "write" or len(known) < 3:
        model[new] = f"{step} {chance.random()}".encode()
        origin.write(new, model[new])
    elif what == "edit":
        uri = chance.choice(known)
        model[uri] = f"{step} {chance.random()}".encode()
        origin.write(uri, model[uri])
    elif what == "rename" and new not in model:
        old = chance.choice(known)
        model[new] = model.pop(old)
        origin.rename(old, new)
    else:
        uri = chance.choice(known)
        del model[uri]
        origin.delete(uri)
