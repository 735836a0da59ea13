"""Who asks: the verified caller, and the readers that a source declares."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ReaderKind(enum.StrEnum):
    """The kinds of reader. They never match across kinds."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"
    RBAC = "RBAC"
    EVERYONE = "Everyone"


@dataclass(frozen=True, slots=True, order=True)
class Reader:
    """One entry of an access list. Names compare byte for byte."""

    kind: ReaderKind
    name: str = ""
    namespace: str = ""


class Classification(enum.StrEnum):
    """How sensitive a document is, lowest first."""

    PUBLIC = "Public"
    INTERNAL = "Internal"
    CONFIDENTIAL = "Confidential"
    RESTRICTED = "Restricted"

    @property
    def rank(self) -> int:
        """0 for the lowest."""
        return list(Classification).index(self)


class Role(enum.StrEnum):
    """What a local token may do besides asking. A role never widens content."""

    OPERATOR = "operator"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified identity. Built only by an `Identity` from a verified token.

    Attributes:
        user: the user's name, or None for a service account.
        groups: the groups the token vouches for.
        service_account: (namespace, name) for a Kubernetes service account.
        roles: operations this caller may do; empty as soon as an agent acts.
        agent: `act.sub`, the agent acting on behalf of the user.
        token: the token's id (jti), for revocation; never the token.
        issued_at: seconds since the epoch, with fraction, for revocation by user.
        expires_at: seconds since the epoch.
    """

    user: str | None
    groups: frozenset[str] = frozenset()
    service_account: tuple[str, str] | None = None
    roles: frozenset[Role] = frozenset()
    agent: str | None = None
    token: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    rbac_sources: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """A stable name for this principal in records: kind-prefixed, so that no user can pose as a service account."""
        who = f"sa:{self.service_account[0]}/{self.service_account[1]}" if self.service_account else f"user:{_escaped(self.user or '')}"
        return who if self.agent is None else f"{who}+agent:{_escaped(self.agent)}"

    @property
    def operator(self) -> bool:
        """Whether this caller operates the installation."""
        return Role.OPERATOR in self.roles and self.agent is None


def _escaped(name: str) -> str:
    """`name` without a plus sign, so that no user's name reads like another user's agent."""
    return name.replace("%", "%25").replace("+", "%2B")
