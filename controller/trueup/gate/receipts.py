"""Receipts: what one answer contained, signed, so that its holder can prove it and ask later what still lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueup.errors import Invalid
from trueup.gate.keys import Keys
from trueup.gate.signing import ISSUER, NotSigned, opened, sign
from trueup.model.principal import Caller

TYP = "trueup-receipt+jwt"
AUDIENCE = "trueup-receipt"
LONGEST = 32 * 1024
"""Bytes of a receipt at most: 100 chunks need about 16 KiB."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The content of a genuine receipt: the retrieval, and the id and digest of each chunk delivered."""

    retrieval: str
    chunks: tuple[tuple[str, str], ...]


def issue(keys: Keys, retrieval: str, caller: Caller, seq: int, at: float, chunks: Sequence[tuple[str, str]]) -> str:
    """The receipt of an answer verified at sequence `seq`. It names the caller only to who has the installation's digest key."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "jti": retrieval,
        "sub": keys.keyed(caller.key),
        "iat": at,
        "seq": seq,
        "chunks": [[chunk, digest] for chunk, digest in chunks],
    }
    return sign(claims, keys.receipt, TYP)


def genuine(keys: Keys, text: str) -> Receipt:
    """The receipt in `text`.

    Raises:
        Invalid: this installation did not issue it.
    """
    try:
        claims = opened(text[: LONGEST + 1], keys.receipt, TYP, AUDIENCE)
    except NotSigned as error:
        raise Invalid(why="the receipt was not issued here, or was changed") from error
    return Receipt(claims["jti"], tuple((chunk, digest) for chunk, digest in claims["chunks"]))
