"""What a connector says about its source: items, how a listing ended, hints and bytes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

WHOLE = ""
"""The prefix that covers a whole source."""


class Kind(enum.StrEnum):
    """What a listed item is to the core."""

    DOCUMENT = "Document"
    UNSUPPORTED = "Unsupported"
    """Exists, but no text can be had from it (a submodule, an LFS pointer): counted, never read."""
    SKIPPED = "Skipped"
    """Exists, but is never followed (a symbolic link, a socket): counted, never read."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a listing.

    Attributes:
        uri: the document's name within its source, percent-encoded as the contract says.
        version: the origin's own name for this content state (blob id, etag, stat fingerprint).
        size: bytes, where the listing tells.
        modified: seconds since the epoch, as the origin claims it: data, never trusted as time.
        kind: what the core may do with it.
        identity: equal for a vanished and a new item only if they are one item moved; None where the origin cannot tell.
    """

    uri: str
    version: str
    size: int | None = None
    modified: float | None = None
    kind: Kind = Kind.DOCUMENT
    identity: str | None = None


class History(enum.StrEnum):
    """How the listed source revision relates to the one decided before."""

    FORWARD = "Forward"
    """The earlier one is an ancestor, or the source keeps no history."""
    REWRITTEN = "Rewritten"
    """The earlier one is no ancestor of this one (a force-push)."""
    OLDER = "Older"
    """This one is an ancestor of the earlier one: the origin went back, which is declared intent."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A place that could not be read: nothing at or below `prefix` may be removed or renewed.

    `prefix` names an item or a folder without a trailing slash; WHOLE is the whole source.
    """

    prefix: str
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """How a listing ends. A listing that stops without one broke off, which is a gap as large as the source.

    Attributes:
        revision: the source's own revision (a commit), or None where it has none.
        gaps: the places that were not read.
        history: how `revision` relates to the previously decided one.
    """

    revision: str | None = None
    gaps: tuple[Gap, ...] = ()
    history: History = History.FORWARD


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a source that a look covers: the items at or below any of `prefixes`."""

    prefixes: tuple[str, ...] = (WHOLE,)

    @property
    def whole(self) -> bool:
        """Whether the scope is the whole source."""
        return WHOLE in self.prefixes

    def covers(self, uri: str) -> bool:
        """Whether `uri` lies in this scope."""
        return self.whole or covered(uri, self.prefixes)


def covered(uri: str, prefixes: tuple[str, ...]) -> bool:
    """Whether `uri` is one of `prefixes` or lies below one."""
    return any(p in (WHOLE, uri) or uri.startswith(p + "/") for p in prefixes)


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one document at one version.

    Attributes:
        data: the bytes as read.
        version: the version they were read at; it equals the version asked for, or the read fails.
    """

    data: bytes = field(repr=False)
    version: str


class Presence(enum.StrEnum):
    """The answer to "is this document still there at this version?"."""

    SAME = "Same"
    CHANGED = "Changed"
    ABSENT = "Absent"


@dataclass(frozen=True, slots=True)
class Hint:
    """Something may have happened at or below `prefixes`. Carries no content and no authority."""

    prefixes: tuple[str, ...] = (WHOLE,)
