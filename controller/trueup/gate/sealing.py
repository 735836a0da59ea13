"""The seal of audit checkpoints: signed by a key of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trueup.gate.keys import SigningKey
from trueup.gate.signing import ISSUER, NotSigned, opened, sign

TYP = "trueup-checkpoint+jwt"
AUDIENCE = "trueup-audit"


@dataclass(frozen=True, slots=True)
class CheckpointSeal:
    """Signs and opens checkpoints with `key` (`Keys.checkpoint`)."""

    key: SigningKey

    def sign(self, claims: dict[str, Any]) -> str:
        """`claims` as one signed line."""
        return sign({**claims, "iss": ISSUER, "aud": AUDIENCE}, self.key, TYP)

    def open(self, text: str) -> dict[str, Any] | None:
        """The claims in `text`; None if it was not signed with this key."""
        try:
            return opened(text, self.key, TYP, AUDIENCE)
        except NotSigned:
            return None
