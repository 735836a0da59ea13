"""Local tokens: who asks, in an installation without an identity provider. The token is the only thing that names a caller."""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from trueup.errors import Invalid, Unauthenticated
from trueup.gate.keys import SigningKey
from trueup.gate.signing import ISSUER, NotSigned, opened, sign
from trueup.model.principal import Caller, Role
from trueup.ports import Clock

TYP = "trueup+jwt"
AUDIENCE = "trueup"
LEEWAY = 30.0
"""Seconds by which the clocks of who issues and who verifies may differ."""
LONGEST = 30 * 24 * 3600.0
"""Seconds a token may live at most, whatever it says."""


def mint(
    key: SigningKey,
    clock: Clock,
    user: str,
    *,
    groups: Collection[str] = (),
    agent: str | None = None,
    roles: Collection[Role] = (),
    ttl: float = 3600.0,
) -> str:
    """A token for `user`, acting through `agent` if given, for `ttl` seconds.

    Raises:
        Invalid: a name is empty or not text, or `ttl` is not between 0 and 30 days.
    """
    if not 0 < ttl <= LONGEST:
        raise Invalid(why="a token lives longer than 0 s and at most 30 days")
    for name in (user, *groups, *(() if agent is None else (agent,))):
        _check_name(name)
    now = clock.now()
    claims: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "nbf": now, "exp": now + ttl, "jti": secrets.token_hex(16)}
    if groups:
        claims["groups"] = sorted(set(groups))
    if roles:
        claims["roles"] = sorted({role.value for role in roles})
    if agent is not None:
        claims["act"] = {"sub": agent}
    return sign(claims, key, TYP)


def _check_name(name: str) -> None:
    try:
        fits = 0 < len(name.encode()) <= 512 and name.isprintable()
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise Invalid(why="the name of a user, group or agent has 1 to 512 bytes and no control characters")


class Genuine:
    """Who the tokens name whose signatures were found right, and when each begins; by digest, the last `kept` of them.

    A signature that is right stays so, and checking it took a tenth of a query's time. Whether a token is valid now, and
    whether it was revoked, is asked anew each time.
    """

    def __init__(self, kept: int = 1024) -> None:
        self._kept = kept
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, digest: bytes) -> tuple[Caller, float] | None:
        """What was kept, if it was."""
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
            return self._known.get(digest)

    def keep(self, digest: bytes, caller: Caller, begins: float) -> None:
        """Keep it; the one that was not asked for for longest is let go."""
        with self._lock:
            self._known[digest] = caller, begins
            while len(self._known) > self._kept:
                self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """Verifies tokens signed by this installation's own key."""

    key: SigningKey
    clock: Clock
    genuine: Genuine = field(default_factory=Genuine, repr=False, compare=False)

    def verify(self, token: str) -> Caller:
        """The caller whom `token` vouches for. Whether it was revoked is for the catalog to say.

        Raises:
            Unauthenticated: it is not such a token, or not valid now.
        """
        try:
            caller, begins = self._named(token)
        except (NotSigned, KeyError, TypeError, ValueError, AttributeError) as error:
            # One answer for every reason: which check failed is nothing the holder of a bad token should learn.
            raise Unauthenticated from error
        self._check_times(caller, begins)
        return caller

    def _named(self, token: str) -> tuple[Caller, float]:
        digest = hashlib.sha256(token.encode()).digest()
        known = self.genuine.get(digest)
        if known is None:
            claims = opened(token, self.key, TYP, AUDIENCE)
            known = _caller(claims), _time(claims["nbf"])
            self.genuine.keep(digest, *known)
        return known

    def _check_times(self, caller: Caller, begins: float) -> None:
        now, issued, ends = self.clock.now(), caller.issued_at, caller.expires_at
        if issued > now + LEEWAY or begins > now + LEEWAY or ends <= now - LEEWAY or ends - issued > LONGEST:
            raise Unauthenticated


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a time")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a name")
    return value


def _caller(claims: dict[str, Any]) -> Caller:
    act = claims.get("act")
    agent = None if act is None else _text(act["sub"])
    if act is not None and "act" in act:
        raise ValueError("a chain of agents needs agent classes to bound it")
    groups, roles = claims.get("groups", []), claims.get("roles", [])
    if not isinstance(groups, list) or not isinstance(roles, list):
        raise TypeError("not lists")
    return Caller(
        user=_text(claims["sub"]),
        groups=frozenset(_text(group) for group in groups),
        # An agent has its user's rights less every role.
        roles=frozenset(Role(role) for role in roles) if agent is None else frozenset(),
        agent=agent,
        token=_text(claims["jti"]),
        issued_at=_time(claims["iat"]),
        expires_at=_time(claims["exp"]),
    )
