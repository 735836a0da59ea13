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

FOREIGN = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Algorithms by which an OpenID Connect issuer may sign: public keys only, so that none of them is also a shared secret."""


class KeySet:
    """The published keys of an issuer (RFC 7517), for the tokens that it signs."""

    def __init__(self, published: Mapping[str, Any]) -> None:
        """Those of `published` that can verify a signature; others are left out.

        Raises:
            ValueError: there is none.
        """
        try:
            self._keys = [key for key in jwt.PyJWKSet.from_dict(dict(published)).keys if key.public_key_use in {None, "sig"}]
        except jwt.PyJWTError as error:
            raise ValueError("the issuer publishes no key that can be used") from error

    def knows(self, text: str) -> bool:
        """Whether the key that the token names is among these."""
        return self._key(text) is not None

    def opened(self, text: str, issuer: str, audience: str) -> dict[str, Any]:
        """The claims of a token. Its times are the caller's to judge, by the caller's clock.

        Raises:
            NotSigned: for whatever reason.
        """
        key = self._key(text)
        if key is None or key.algorithm_name not in FOREIGN:
            raise NotSigned
        options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": True, "require": ["aud", "iss", "sub", "iat", "exp"]}
        try:
            # The algorithm is the key's, never the token's own choice.
            claims: dict[str, Any] = jwt.decode(text, key, algorithms=[key.algorithm_name], audience=audience, issuer=issuer, options=options)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError) as error:
            raise NotSigned from error
        return claims

    def _key(self, text: str) -> jwt.PyJWK | None:
        try:
            kid = jwt.get_unverified_header(text).get("kid")
        except (jwt.PyJWTError, ValueError):
            return None
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)


def unverified_issuer(text: str) -> str | None:
    """Who a token says has issued it; believed for nothing but the choice of who verifies it."""
    try:
        claims = jwt.decode(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else None
