"""ContextIndex: one embedding model, and how it is searched."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import StrictInt

from trueup.model.resources.fields import LocalRef, Model, Word
from trueup.model.resources.metadata import Metadata
from trueup.model.resources.status import ContextIndexStatus


class Provider(enum.StrEnum):
    """Who makes dense vectors."""

    LOCAL = "Local"
    """A model that is installed beside the controller."""
    HASH = "Hash"
    """Hashing vectors: a test double without meaning, quick and the same everywhere."""


class Mode(enum.StrEnum):
    """Which vectors a search uses."""

    HYBRID = "Hybrid"
    DENSE = "Dense"
    SPARSE = "Sparse"


class Embedding(Model):
    """What makes dense vectors."""

    provider: Provider = Provider.LOCAL
    """Local is a model installed beside the controller; Hash is a test double whose vectors carry no meaning."""
    model: Word | None = None
    """The model's name; the installation's default if left out."""
    dimensions: Annotated[StrictInt, Ge(1), Le(4096)] | None = None
    """Length of the dense vector; the model's own if left out."""
    secret_ref: LocalRef | None = None
    """The Secret with credentials for the provider, in the same namespace."""


class ContextIndexSpec(Model):
    """What is wanted of an index."""

    embedding: Embedding = Embedding()
    """What makes dense vectors. Changing it builds a new generation, then switches."""
    mode: Mode = Mode.HYBRID
    """Hybrid fuses dense and sparse, Dense and Sparse use one."""


class ContextIndex(Model):
    """One embedding model and search mode that sources can be loaded into."""

    api_version: Literal["trueup.dev/v1alpha1"] = "trueup.dev/v1alpha1"
    """The version of this schema."""
    kind: Literal["ContextIndex"] = "ContextIndex"
    """The kind."""
    metadata: Metadata
    """Name, place and history."""
    spec: ContextIndexSpec = ContextIndexSpec()
    """What is wanted."""
    status: ContextIndexStatus = ContextIndexStatus()
    """What the controller last reported."""
