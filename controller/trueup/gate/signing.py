"""Signed statements: EdDSA JSON Web Signatures, told apart by key and `typ`. The only importer of PyJWT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from trueup.gate.keys import SigningKey

_ALGORITHM = "EdDSA"


class NotSigned(Exception):
    """The text is not a statement of this type signed by this key."""


def sign(claims: Mapping[str, Any], key: SigningKey, typ: str) -> str:
    """`claims` as a compact JWS of type `typ`."""
    return jwt.encode(dict(claims), key.private, algorithm=_ALGORITHM, headers={"typ": typ, "kid": key.kid})


def opened(text: str, key: SigningKey, typ: str, audience: str) -> dict[str, Any]:
    """The claims of a compact JWS. Its times are the caller's to judge, by the caller's clock.

    Raises:
        NotSigned: for whatever reason.
    """
    try:
        if jwt.get_unverified_header(text).get("typ") != typ:
            raise NotSigned
        options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": True, "require": ["aud", "iss"]}
        claims: dict[str, Any] = jwt.decode(text, key.public, algorithms=[_ALGORITHM], audience=audience, issuer=ISSUER, options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError) as error:
        raise NotSigned from error
    return claims


ISSUER = "trueup"
"""`iss` of everything an installation signs for itself."""
