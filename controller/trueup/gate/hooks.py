"""Hooks: signed calls from outside that make a source due now. They carry no content and no authority."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import Counter
from collections.abc import Mapping

from trueup.catalog import listings
from trueup.gate.deps import Gate

SIGNATURES = ("x-trueup-signature", "x-hub-signature-256", "x-gitea-signature")
"""Headers with the hex HMAC-SHA-256 of the body; ours and GitHub's begin with `sha256=`, Gitea's does not."""
TOKEN = "x-gitlab-token"  # noqa: S105 - the name of a header
"""GitLab's header: the secret itself."""


def signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a call with `headers` (lower-case names) and `body` comes from someone who knows `secret`."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = [headers[name].removeprefix("sha256=") for name in SIGNATURES if name in headers]
    good = [hmac.compare_digest(wanted.encode(), one.encode()) for one in given]
    if TOKEN in headers:
        good.append(hmac.compare_digest(secret.encode(), headers[TOKEN].encode()))
    # More than one signature is fine; one of them that is wrong is not.
    return bool(good) and all(good)


class HookCounts:
    """How many calls for each source were taken and refused since this process began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def count(self, key: str, *, taken: bool) -> None:
        """One more for the source `key`."""
        with self._lock:
            (self._taken if taken else self._refused)[key] += 1

    def of(self, key: str) -> tuple[int, int]:
        """Calls taken and refused for the source `key`."""
        with self._lock:
            return self._taken[key], self._refused[key]


def call(gate: Gate, counts: HookCounts, namespace: str, name: str, headers: Mapping[str, str], body: bytes) -> None:
    """Take or refuse one call. Says nothing of which, nor whether there is such a source.

    Raises:
        CatalogError: the catalog could not be read.
    """
    secret = gate.keys.hook_secret(namespace, name) if gate.hook_secret is None else gate.hook_secret(namespace, name)
    good = secret is not None and signed(secret, headers, body)
    with gate.store.read() as read:
        known = bool(listings.incarnations(read, namespace, name))
    if not known:
        return
    counts.count(f"{namespace}/{name}", taken=good)
    if good and gate.controller is not None:
        gate.controller.hint(namespace, name)
