"""What a ContextIndex's status says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.decide.conditions import Finding
from trueup.model.times import rfc3339


def summarize_index(
    *, generation: int, serving: str | None, building: str | None, dimensions: int, chunks: int, failure: str | None, before: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """The whole status of a ContextIndex: `serving` and `building` are fingerprints, `failure` why its model cannot be used."""
    if failure is not None:
        ready = Finding("Ready", "False", "EmbeddingFailed", failure)
    elif building is not None:
        ready = Finding("Ready", "Unknown", "Progressing", "A new generation is being built; the one before answers until it is complete.")
    else:
        ready = Finding("Ready", "True", "Reconciled", "The declared generation answers.")
    found = [ready]
    if building is not None:
        found.append(Finding("Reconciling", "True", "Progressing", ready.message))
    old = {c["type"]: c for c in before.get("conditions", ())}
    conditions = []
    for finding in found:
        same = finding.type in old and old[finding.type]["status"] == finding.status
        since = old[finding.type]["lastTransitionTime"] if same else rfc3339(now)
        conditions.append(
            {
                "type": finding.type,
                "status": finding.status,
                "observedGeneration": generation,
                "lastTransitionTime": since,
                "reason": finding.reason,
                "message": finding.message[:1024],
            }
        )
    status: dict[str, Any] = {
        "observedGeneration": generation if ready.status == "True" else before.get("observedGeneration", -1),
        "conditions": conditions,
        "dimensions": dimensions,
        "chunks": chunks,
    }
    if serving is not None:
        status["serving"] = serving
    if building is not None:
        status["building"] = building
    return status
