"""`status`: what the controller reports. Counters and a few truncated examples, never a list that grows."""

from __future__ import annotations

import enum
from typing import Annotated

from annotated_types import Len

from trueup.model.resources.fields import Count, Generation, ListMap, Message, Model, Short, Time, Token

UNOBSERVED = -1
"""observedGeneration of what no pass has ended for yet."""


class ConditionStatus(enum.StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the resource's state, as every Kubernetes tool reads it."""

    type: Token
    """Which aspect."""
    status: ConditionStatus
    """Whether it holds."""
    observed_generation: Generation | None = None
    """The generation this was said of."""
    last_transition_time: Time
    """When status last changed."""
    reason: Token
    """Why, in one CapitalCase word."""
    message: Message = ""
    """Why, for people. Never document text, a query or a secret."""


Conditions = Annotated[tuple[Condition, ...], Len(0, 16), ListMap("type")]


class HeldDeletion(Model):
    """A suspicious deletion that waits for confirmation; what it concerns is hidden meanwhile."""

    observation: Short
    """The id that releases it."""
    documents: Count
    """How many documents are hidden."""
    since: Time
    """Since when."""
    reason: Message
    """What was suspicious."""


class DocumentCounts(Model):
    """Documents by state."""

    live: Count = 0
    """Served."""
    held: Count = 0
    """Hidden by a held deletion."""
    quarantined: Count = 0
    """With at least one quarantined chunk."""
    failed: Count = 0
    """Listed, but their wanted version could not be loaded; and places that could not be read."""
    unsupported: Count = 0
    """Listed, but no text can be had from them."""
    skipped: Count = 0
    """Never followed: links, sockets."""


class Example(Model):
    """One document that something is wrong with."""

    uri: Short
    """Its name, truncated."""
    reason: Token
    """What is wrong, in one word."""
    message: Short = ""
    """What is wrong, for people; never its text."""


class ContextSourceStatus(Model):
    """What the controller last reported of a source."""

    observed_generation: Generation = UNOBSERVED
    """The generation that last ended Ready or Stalled."""
    conditions: Conditions = ()
    """Ready and Fresh always; the abnormal ones only while they hold."""
    revision: Short | None = None
    """The source's revision that was last decided, where it has one."""
    digest: Short | None = None
    """Changes whenever what is served may have changed; equal digests mean equal content."""
    last_update_time: Time | None = None
    """When the served content last changed."""
    last_handled_reconcile_at: Short | None = None
    """The trueup.dev/requestedAt that was last acted on."""
    held_deletion: HeldDeletion | None = None
    """The deletion that waits for confirmation."""
    documents: DocumentCounts | None = None
    """Documents by state."""
    chunks: Count | None = None
    """Live chunks."""
    tombstones: Count | None = None
    """Tombstones not yet purged."""
    failures: Count | None = None
    """Failed looks in a row."""
    next_attempt_time: Time | None = None
    """When the next look is tried after a failure."""
    examples: Annotated[tuple[Example, ...], Len(0, 10)] | None = None
    """At most ten documents that something is wrong with."""


class ContextIndexStatus(Model):
    """What the controller last reported of an index."""

    observed_generation: Generation = UNOBSERVED
    """The generation that last ended Ready or Stalled."""
    conditions: Conditions = ()
    """Ready always; Reconciling while a new generation is being built."""
    serving: Short | None = None
    """Fingerprint of the generation that answers."""
    building: Short | None = None
    """Fingerprint of the generation that is being built."""
    dimensions: Count | None = None
    """Of the dense vector; 0 where there is none."""
    chunks: Count | None = None
    """Live chunks in the serving generation."""
