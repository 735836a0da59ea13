"""The keys of a point as the payload that Qdrant stores, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trueup.model.index import Keys, PointState

# What a search may filter by, and so has an index: each makes a write a tenth dearer. Nothing asks by document.
KEYWORDS: Final = ("tenant", "state", "folders")
INTEGERS: Final = ("source", "acl")
FLOATS: Final = ("modified",)

_NUMBERS: Final = ("source", "document", "acl")

FOREIGN: Final = Keys(tenant="", source=-1, document=-1, acl=-1, state=PointState.DEAD)
"""What a point reads as whose payload we did not write: equal to no keys of the catalog, so that a sweep repairs or erases it."""

_NEEDED = frozenset({"tenant", "source", "document", "acl", "state"})
_KNOWN = _NEEDED | {"modified", "folders"}


def to_payload(keys: Keys) -> dict[str, Any]:
    """The payload of `keys`; what is empty is left out, because each value costs time at load."""
    payload: dict[str, Any] = {"tenant": keys.tenant, "source": keys.source, "document": keys.document, "acl": keys.acl, "state": keys.state.value}
    if keys.modified is not None:
        payload["modified"] = float(keys.modified)
    if keys.folders:
        payload["folders"] = list(keys.folders)
    return payload


def to_keys(payload: Mapping[str, Any] | None) -> Keys:
    """The keys that `payload` says, or FOREIGN for one that is not exactly as we write it."""
    if payload is None or not payload.keys() >= _NEEDED or not payload.keys() <= _KNOWN:
        return FOREIGN
    modified, folders = payload.get("modified"), payload.get("folders", [])
    sound = (
        isinstance(payload["tenant"], str)
        and all(type(payload[name]) is int for name in _NUMBERS)
        and payload["state"] in (PointState.LIVE.value, PointState.DEAD.value)
        and (modified is None or type(modified) in (int, float))
        and isinstance(folders, list)
        and all(isinstance(folder, str) for folder in folders)
    )
    if not sound:
        return FOREIGN
    return Keys(
        tenant=payload["tenant"],
        source=payload["source"],
        document=payload["document"],
        acl=payload["acl"],
        state=PointState(payload["state"]),
        modified=None if modified is None else float(modified),
        folders=tuple(folders),
    )
