"""Tokens of the cluster, reviewed by its API server for our audience alone."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from trueup.cluster.api import Api, path_of
from trueup.errors import ClusterError, Denied, Unauthenticated
from trueup.gate.cluster.kept import Kept
from trueup.model.principal import Caller
from trueup.ports import Clock

KEPT = 5.0
"""Seconds that a review is believed. The API server itself keeps one for 10 s; what Trueup revokes is asked at every request."""
_SERVICE_ACCOUNT = "system:serviceaccount:"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_UNBOUNDED = 3600.0
"""Seconds after which a token that does not say when it ends is reviewed again for what it holds open."""


class ClusterIdentity:
    """Verifies tokens by TokenReview."""

    def __init__(self, api: Api, audience: str, clock: Clock) -> None:
        self._api, self._audience, self._clock = api, audience, clock
        self._kept: Kept[Caller] = Kept(clock, KEPT)

    def verify(self, token: str) -> Caller:
        """The caller whom the API server vouches for.

        Raises:
            Unauthenticated: it does not.
            Denied: it could not be asked.
        """
        caller = self._kept.get(token, lambda: self._review(token))
        if caller.expires_at <= self._clock.now():
            raise Unauthenticated
        return caller

    def _review(self, token: str) -> Caller:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": [self._audience]}}
        try:
            status = self._api.create(path_of("authentication.k8s.io/v1", "tokenreviews"), asked).get("status") or {}
        except ClusterError as error:
            raise Denied from error
        # An authenticator that knows nothing of audiences passes a token for any of them, and then names none.
        if status.get("authenticated") is not True or self._audience not in (status.get("audiences") or ()):
            raise Unauthenticated
        return _caller(status.get("user") or {}, token, self._clock.now())


def _caller(user: Mapping[str, Any], token: str, now: float) -> Caller:
    name = user.get("username")
    if not isinstance(name, str) or not name:
        raise Unauthenticated
    claims = _claims(token)
    ids = (user.get("extra") or {}).get(_CREDENTIAL) or ()
    account = _service_account(name)
    return Caller(
        user=None if account else name,
        groups=frozenset(group for group in user.get("groups") or () if isinstance(group, str)),
        service_account=account,
        token=str(ids[0]) if ids else Kept.digest(token),
        issued_at=_number(claims.get("iat"), now),
        expires_at=_number(claims.get("exp"), now + _UNBOUNDED),
    )


def _service_account(name: str) -> tuple[str, str] | None:
    if not name.startswith(_SERVICE_ACCOUNT):
        return None
    namespace, _, account = name.removeprefix(_SERVICE_ACCOUNT).partition(":")
    return (namespace, account) if namespace and account else None


def _claims(token: str) -> Mapping[str, Any]:
    """What the token says of itself, for its times alone: that it says so truly, the review has found."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
