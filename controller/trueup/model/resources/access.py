"""`spec.access`: who may read what. No readers means nobody."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Len

from trueup.model.principal import Classification, Reader, ReaderKind
from trueup.model.resources.fields import Model, NamespaceName, Pattern, ReaderName


class ReaderSpec(Model):
    """One entry of an access list. Kinds never match each other; names compare byte for byte, without wildcards."""

    kind: ReaderKind
    """User, Group, ServiceAccount, RBAC (whom a SubjectAccessReview allows `retrieve` on this source; cluster only) or Everyone (every authenticated caller)."""
    name: ReaderName | None = None
    """The user's, group's or service account's name."""
    namespace: NamespaceName | None = None
    """The service account's namespace."""

    @property
    def reader(self) -> Reader:
        """The plain value."""
        return Reader(self.kind, self.name or "", self.namespace or "")


Readers = Annotated[tuple[ReaderSpec, ...], Len(0, 64)]


class AccessRule(Model):
    """What holds for some paths instead of the source's own. Members left out are inherited; the first rule that matches wins."""

    paths: Annotated[tuple[Pattern, ...], Len(1, 32)]
    """gitignore-style patterns: anchored if they hold a slash, case-sensitive, compared in Unicode NFC."""
    readers: Readers | None = None
    """Who may read these documents; an empty list is nobody."""
    classification: Classification | None = None
    """How sensitive these documents are."""


class Access(Model):
    """Who may read the documents of a source, and how sensitive they are."""

    readers: Readers = ()
    """Who may read; nobody if left out."""
    classification: Classification = Classification.INTERNAL
    """How sensitive the documents are."""
    rules: Annotated[tuple[AccessRule, ...], Len(0, 64)] = ()
    """Exceptions by path; the first that matches wins."""
