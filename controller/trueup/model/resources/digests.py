"""What of a source's spec decides what: one digest each, so that a change redoes only what it changes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from trueup.model.resources.access import Access, ReaderSpec
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.model.text import IngestSettings


def ingest_settings(spec: ContextSourceSpec) -> IngestSettings:
    """What ingest needs to know of `spec`."""
    return IngestSettings(
        max_tokens=spec.chunking.max_tokens,
        overlap=spec.chunking.overlap,
        max_document_bytes=spec.limits.max_bytes,
        secrets=spec.screening.secrets.value,
        injection=spec.screening.injection.value,
        conflict_front_matter=spec.conflict_key.front_matter if spec.conflict_key else None,
    )


def settings_digest(spec: ContextSourceSpec) -> str:
    """`sha256:hex` over everything in `spec` that decides what ingest makes of a document's bytes."""
    return _digest(dataclasses.asdict(ingest_settings(spec)))


def access_digest(spec: ContextSourceSpec) -> str:
    """`sha256:hex` over who may read what; the order of readers does not count, that of rules does."""
    return _digest(_access(spec.access))


def spec_digest(spec: ContextSourceSpec) -> str:
    """`sha256:hex` over the whole spec with its defaults."""
    return _digest(spec.dump())


def _access(access: Access) -> dict[str, Any]:
    return {
        "readers": _readers(access.readers),
        "classification": access.classification.value,
        "rules": [
            {
                "paths": rule.paths,
                "readers": None if rule.readers is None else _readers(rule.readers),
                "classification": rule.classification.value if rule.classification else None,
            }
            for rule in access.rules
        ],
    }


def _readers(readers: tuple[ReaderSpec, ...]) -> list[list[str]]:
    return [list(reader) for reader in sorted({(r.kind.value, r.name or "", r.namespace or "") for r in readers})]


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
