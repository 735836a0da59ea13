"""Secrets that sign hook calls: the Secret that a source's `hookSecretRef` names, read with the gate's own rights.

A tenant who wants hooks binds `get` on that one Secret to the gate's service account. Calls are anonymous, so what was
read, and that nothing could be read, is kept for a while: nobody makes the gate ask the API server at will.
"""

from __future__ import annotations

import base64
import binascii
import json

import structlog

from trueup.catalog import declaring
from trueup.catalog.store import Store
from trueup.cluster.api import Api, path_of
from trueup.errors import ClusterError
from trueup.gate.cluster.kept import Kept

log = structlog.get_logger(__name__)

KEYS = ("secret", "token")
"""The key of the Secret that is taken, the first that is there; `token` is what Flux's receivers have."""
KEPT = 10.0
"""Seconds after which a rotated Secret counts."""


class HookSecrets:
    """Reads them when a call comes."""

    def __init__(self, api: Api, store: Store) -> None:
        self._api, self._store = api, store
        self._kept: Kept[str | None] = Kept(store.clock, KEPT)

    def of(self, namespace: str, name: str) -> str | None:
        """The secret for the source `namespace/name`; None if there is no such source, it names none, or it cannot be read.

        Raises:
            CatalogError: the catalog could not be read.
        """
        with self._store.read() as read:
            spec = declaring.spec_of(read, namespace, name)
        reference = (json.loads(spec).get("hookSecretRef") or {}).get("name") if spec is not None else None
        return None if reference is None else self._kept.get(f"{namespace}/{reference}", lambda: self._read(namespace, reference))

    def _read(self, namespace: str, name: str) -> str | None:
        try:
            data = self._api.get(path_of("v1", "secrets", namespace, name)).get("data") or {}
            found = next((base64.b64decode(data[key], validate=True).decode() for key in KEYS if key in data), "")
        except (ClusterError, binascii.Error, UnicodeDecodeError) as error:
            log.warning("hook_secret.unreadable", namespace=namespace, secret=name, reason=type(error).__name__)
            return None
        return found.rstrip("\r\n") or None
