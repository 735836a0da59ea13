"""The resources: ContextSource and ContextIndex, their rules, and how they are read from manifests.

Only pydantic models and pure functions over them. The published schema is made from these models, never the reverse.
"""

from trueup.model.resources.access import Access, AccessRule, ReaderSpec
from trueup.model.resources.contextindex import ContextIndex, ContextIndexSpec, Embedding, Mode, Provider
from trueup.model.resources.contextsource import ContextSource, ContextSourceSpec
from trueup.model.resources.digests import access_digest, ingest_settings, settings_digest, spec_digest
from trueup.model.resources.manifest import API_VERSION, KINDS, make_absolute, parse_manifest, parse_stored
from trueup.model.resources.metadata import CONFIRM_DELETION, FINALIZER, REQUESTED_AT, ObjectMeta
from trueup.model.resources.origin import ConfigMapSource, DirectorySource, GitRef, GitSource, PluginSource, SourceSpec, SourceType
from trueup.model.resources.policy import Chunking, Deletion, DeletionPolicy, Freshness, Guard, Limits, OnStale, Screening, ScreeningSpec, Trust
from trueup.model.resources.status import (
    Condition,
    ConditionStatus,
    ContextIndexStatus,
    ContextSourceStatus,
    DocumentCounts,
    Example,
    HeldDeletion,
)
from trueup.model.resources.yamltext import load_yaml

__all__ = [
    "API_VERSION",
    "CONFIRM_DELETION",
    "FINALIZER",
    "KINDS",
    "REQUESTED_AT",
    "Access",
    "AccessRule",
    "Chunking",
    "Condition",
    "ConditionStatus",
    "ConfigMapSource",
    "ContextIndex",
    "ContextIndexSpec",
    "ContextIndexStatus",
    "ContextSource",
    "ContextSourceSpec",
    "ContextSourceStatus",
    "Deletion",
    "DeletionPolicy",
    "DirectorySource",
    "DocumentCounts",
    "Embedding",
    "Example",
    "Freshness",
    "GitRef",
    "GitSource",
    "Guard",
    "HeldDeletion",
    "Limits",
    "Mode",
    "ObjectMeta",
    "OnStale",
    "PluginSource",
    "Provider",
    "ReaderSpec",
    "Screening",
    "ScreeningSpec",
    "SourceSpec",
    "SourceType",
    "Trust",
    "access_digest",
    "ingest_settings",
    "load_yaml",
    "make_absolute",
    "parse_manifest",
    "parse_stored",
    "settings_digest",
    "spec_digest",
]
