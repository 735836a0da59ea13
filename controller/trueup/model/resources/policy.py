"""How a source is treated: freshness, deletion, screening, chunking, limits."""

from __future__ import annotations

import enum
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field, StrictInt

from trueup.model.resources.fields import Count, Duration, Flag, Model, Percent, Quantity, VerifyOnRead, Word, octets, seconds
from trueup.model.times import duration


class OnStale(enum.StrEnum):
    """What the gate does with content whose freshness lease has ended."""

    WITHHOLD = "Withhold"
    FLAG = "Flag"


class DeletionPolicy(enum.StrEnum):
    """What deleting the resource does to its points in the index. At the gate everything is dead either way."""

    DELETE = "Delete"
    RETAIN = "Retain"


class Screening(enum.StrEnum):
    """What happens to a chunk that a screen finds something in."""

    QUARANTINE = "Quarantine"
    FLAG = "Flag"
    OFF = "Off"


class Trust(enum.StrEnum):
    """How readers are told to take the text."""

    TRUSTED = "Trusted"
    UNTRUSTED = "Untrusted"


class Freshness(Model):
    """How long content may be served since its source last vouched for it."""

    max_staleness: Duration = "1h"
    """The freshness lease: only a successful read of the source renews it."""
    on_stale: OnStale = OnStale.WITHHOLD
    """What is done with content when the lease has ended."""
    verify_on_read: VerifyOnRead = "Never"
    """Never, Always, or a duration: ask the source at the moment of delivery if it last vouched longer ago than this."""
    document_ttl: Duration | None = Field(default=None, alias="documentTTL")
    """How long a document version may be served since it was first seen."""

    @property
    def max_staleness_seconds(self) -> float:
        """Seconds of the lease."""
        return duration(self.max_staleness)

    @property
    def verify_after_seconds(self) -> float | None:
        """Age in seconds beyond which the source is asked at delivery: 0 always, None never."""
        return {"Never": None, "Always": 0.0}[self.verify_on_read] if self.verify_on_read in {"Never", "Always"} else duration(self.verify_on_read)

    @property
    def document_ttl_seconds(self) -> float | None:
        """Seconds that a version may be served, if bounded."""
        return seconds(self.document_ttl)


class Guard(Model):
    """What makes a deletion suspicious. What is held is hidden at once and erased only when confirmed."""

    max_percent: Percent = 30
    """Held if more than this share of the live documents is missing, and more than minDocuments."""
    min_documents: Count = 10
    """Held if more than this many documents are missing, and more than maxPercent."""
    allow_empty: Flag = False
    """Whether an empty listing is believed at once."""
    confirm_after: Duration | None = None
    """Confirm by itself after this time; never if left out."""

    @property
    def confirm_after_seconds(self) -> float | None:
        """Seconds until a hold confirms itself, if it ever does."""
        return seconds(self.confirm_after)


class Deletion(Model):
    """What deletions do."""

    policy: DeletionPolicy = DeletionPolicy.DELETE
    """What deleting the resource does to its points: Delete erases them, Retain leaves them, dead at the gate."""
    retention: Duration = "24h"
    """How long text and vectors of what died are kept before they are erased."""
    guard: Guard = Guard()
    """What makes a deletion suspicious."""

    @property
    def retention_seconds(self) -> float:
        """Seconds that what died is kept."""
        return duration(self.retention)


class ScreeningSpec(Model):
    """What happens to chunks with suspicious content. Quote "Off" in YAML: kubectl takes the bare word for false."""

    injection: Screening = Screening.FLAG
    """Text that reads like instructions to a model."""
    secrets: Screening = Screening.QUARANTINE
    """Text that holds a credential."""


class Chunking(Model):
    """How documents are cut."""

    max_tokens: Annotated[StrictInt, Ge(32), Le(2048)] = 256
    """The most tokens of a chunk; the default embedding model reads 256."""
    overlap: Annotated[StrictInt, Ge(0), Le(1024)] = 0
    """Tokens that a chunk repeats of the one before it."""


class Limits(Model):
    """What a document may cost."""

    max_document_bytes: Quantity = "16Mi"
    """Larger documents fail as TooLarge. A whole number of bytes, or a quantity such as 16Mi; at most 1Gi."""

    @property
    def max_bytes(self) -> int:
        """The limit in bytes."""
        return octets(self.max_document_bytes)


class ConflictKey(Model):
    """How documents of different sources are known to speak of one thing."""

    front_matter: Word
    """The front-matter key whose value names the thing."""
