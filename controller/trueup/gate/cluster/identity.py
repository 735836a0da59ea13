"""Whoever a cluster's gate believes: the API server, and an OpenID Connect issuer if one is set."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.gate.cluster.oidc import OidcIdentity
from trueup.gate.cluster.tokens import ClusterIdentity
from trueup.model.principal import Caller


@dataclass(frozen=True, slots=True)
class AnyIdentity:
    """Asks the one that issued the token, as it says itself; that one then verifies it, or refuses."""

    cluster: ClusterIdentity
    issuer: OidcIdentity | None = None

    def verify(self, token: str) -> Caller:
        """The caller.

        Raises:
            Unauthenticated: nobody vouches for one.
            Denied: who could vouch was not to be asked.
        """
        if self.issuer is not None and self.issuer.issued(token):
            return self.issuer.verify(token)
        return self.cluster.verify(token)
