"""Tokens of an OpenID Connect issuer, verified with its published keys (JWKS).

The names in them are the issuer's. None can pose as one that only Kubernetes gives: `system:` is refused.
"""

from __future__ import annotations

import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from trueup.errors import Denied, Unauthenticated
from trueup.gate.cluster.kept import Kept
from trueup.gate.signing import KeySet, NotSigned, unverified_issuer
from trueup.model.principal import Caller
from trueup.ports import Clock

LEEWAY = 30.0
"""Seconds by which the clocks of issuer and gate may differ."""
_TIMEOUT = 5.0
_LARGEST = 1 << 20
_FRESH = 300.0
"""Seconds between looks at the published keys, unless a token names one that is not among them."""
_AGAIN = 10.0
"""Seconds at least between two looks, however many unknown keys are named: no caller can make us hammer the issuer."""
_RESERVED = "system:"


class OidcIdentity:
    """Verifies tokens of one issuer."""

    def __init__(self, issuer: str, audience: str, clock: Clock, authority: str | None = None) -> None:
        """`authority` is a file of certificates to trust for the issuer, besides the machine's own.

        Raises:
            ValueError: the issuer is no https URL (http is for loopback alone).
        """
        parts = urlsplit(issuer)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
            raise ValueError("the issuer must be an https URL")
        self.issuer = issuer
        self._audience, self._clock = audience, clock
        self._tls = ssl.create_default_context(cafile=authority)
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._looked = float("-inf")

    def verify(self, token: str) -> Caller:
        """The caller whom the issuer vouches for.

        Raises:
            Unauthenticated: it does not.
            Denied: its keys could not be had.
        """
        try:
            claims = self._opened(token)
            return _caller(claims, token, self._clock.now())
        except (NotSigned, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unauthenticated from error

    def issued(self, token: str) -> bool:
        """Whether `token` says that it comes from this issuer."""
        return unverified_issuer(token) == self.issuer

    def _opened(self, token: str) -> dict[str, Any]:
        keys = self._published(older_than=_FRESH)
        if not keys.knows(token):
            keys = self._published(older_than=_AGAIN)
        return keys.opened(token, issuer=self.issuer, audience=self._audience)

    def _published(self, older_than: float) -> KeySet:
        with self._lock:
            now = self._clock.monotonic()
            if self._keys is None or now - self._looked >= older_than:
                try:
                    found = self._fetch(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
                    if found.get("issuer") != self.issuer:
                        raise Denied
                    self._keys = KeySet(self._fetch(str(found["jwks_uri"])))
                except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
                    # Keys that were good a while ago are still the issuer's; without any there is nobody to believe.
                    if self._keys is None:
                        raise Denied from error
                self._looked = now
            return self._keys

    def _fetch(self, url: str) -> dict[str, Any]:
        if urlsplit(url).scheme != urlsplit(self.issuer).scheme:
            raise ValueError("the issuer's documents must come as it does")
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - the scheme was checked
        with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._tls) as answer:  # noqa: S310
            found = json.loads(answer.read(_LARGEST))
        if not isinstance(found, dict):
            raise ValueError("no object")  # noqa: TRY004 - what came over the wire is a value, not a type of ours
        return found


def _caller(claims: Mapping[str, Any], token: str, now: float) -> Caller:
    act = claims.get("act")
    agent = None if act is None else _name(act["sub"])
    if act is not None and "act" in act:
        raise ValueError("a chain of agents needs agent classes to bound it")
    groups = claims.get("groups", [])
    if not isinstance(groups, list):
        raise TypeError("not a list")
    issued, begins, ends = float(claims["iat"]), float(claims.get("nbf", claims["iat"])), float(claims["exp"])
    if not (issued <= now + LEEWAY and begins <= now + LEEWAY and ends > now - LEEWAY):
        raise ValueError("not valid now")
    return Caller(
        user=_name(claims["sub"]),
        groups=frozenset(_name(group) for group in groups if not str(group).startswith(_RESERVED)),
        agent=agent,
        token=_name(claims["jti"]) if "jti" in claims else Kept.digest(token),
        issued_at=issued,
        expires_at=ends,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not value or value.startswith(_RESERVED):
        raise ValueError("not a name")
    return value
