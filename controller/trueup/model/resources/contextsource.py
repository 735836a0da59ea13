"""ContextSource: one origin of documents, and how it is treated."""

from __future__ import annotations

from typing import Literal

from trueup.model.resources.access import Access
from trueup.model.resources.fields import Duration, Flag, LocalRef, Model, Patterns
from trueup.model.resources.metadata import Metadata
from trueup.model.resources.origin import SourceSpec
from trueup.model.resources.policy import Chunking, ConflictKey, Deletion, Freshness, Limits, ScreeningSpec, Trust
from trueup.model.resources.status import ContextSourceStatus
from trueup.model.times import duration


class ContextSourceSpec(Model):
    """What is wanted of a source."""

    source: SourceSpec
    """Where the documents come from."""
    include: Patterns = ()
    """gitignore-style patterns of what is taken; every type that can be read if left out. Dot-files only if a pattern names them."""
    exclude: Patterns = ()
    """gitignore-style patterns of what is left out; wins over include."""
    index_ref: LocalRef | None = None
    """The ContextIndex to load into; the one named default, or the installation's own, if left out."""
    interval: Duration = "5m"
    """How often the source is looked at, ±5 %; at least 1s."""
    timeout: Duration = "60s"
    """For one call to the source: the probe, the listing, one read."""
    freshness: Freshness = Freshness()
    """How long content may be served since its source last vouched for it."""
    deletion: Deletion = Deletion()
    """What deletions do."""
    access: Access = Access()
    """Who may read what. Nobody if left out."""
    screening: ScreeningSpec = ScreeningSpec()
    """What happens to chunks with suspicious content."""
    trust: Trust = Trust.UNTRUSTED
    """How readers are told to take the text."""
    chunking: Chunking = Chunking()
    """How documents are cut."""
    limits: Limits = Limits()
    """What a document may cost."""
    conflict_key: ConflictKey | None = None
    """How documents of different sources are known to speak of one thing."""
    secret_ref: LocalRef | None = None
    """The Secret with credentials for the source, in the same namespace."""
    hook_secret_ref: LocalRef | None = None
    """The Secret with the key that signs hints, in the same namespace."""
    suspend: Flag = False
    """No looks and no hints while true; freshness leases run out; access still acts."""

    @property
    def interval_seconds(self) -> float:
        """Seconds between looks, before jitter."""
        return duration(self.interval)

    @property
    def timeout_seconds(self) -> float:
        """Seconds that one call to the source may take."""
        return duration(self.timeout)


class ContextSource(Model):
    """One origin of documents that an index is kept true to."""

    api_version: Literal["trueup.dev/v1alpha1"] = "trueup.dev/v1alpha1"
    """The version of this schema."""
    kind: Literal["ContextSource"] = "ContextSource"
    """The kind."""
    metadata: Metadata
    """Name, place and history."""
    spec: ContextSourceSpec
    """What is wanted."""
    status: ContextSourceStatus = ContextSourceStatus()
    """What the controller last reported."""

    def index_key(self) -> str:
        """`namespace/name` of the ContextIndex asked for; of the one named default if none is."""
        return f"{self.metadata.namespace}/{self.spec.index_ref.name if self.spec.index_ref else 'default'}"
