"""Who may read what: slots and rules compiled from `spec.access`, and the one predicate over them.

Pure and total: whatever is not plainly allowed is denied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from trueup.decide.patterns import PatternList, readable
from trueup.model.principal import Caller, Classification, Reader, ReaderKind
from trueup.model.resources.access import Access, ReaderSpec

OWN = -1
"""The ordinal of a source's own slot: that of documents which no rule matches."""


class Slot(NamedTuple):
    """What one rule, or the source itself, says of the documents in it."""

    ordinal: int
    readers: tuple[Reader, ...]
    """Sorted, each once; empty is nobody."""
    classification: Classification


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """`spec.access`, compiled: which slot a document is in, and what each slot says."""

    _slots: tuple[Slot, ...]
    _rules: tuple[PatternList, ...]

    @classmethod
    def compile(cls, access: Access) -> AccessPolicy:
        """Compile `access`.

        Raises:
            Invalid: a pattern cannot be understood.
        """
        own = Slot(OWN, _plain(access.readers), access.classification)
        slots = [
            Slot(
                ordinal,
                own.readers if rule.readers is None else _plain(rule.readers),
                rule.classification or own.classification,
            )
            for ordinal, rule in enumerate(access.rules)
        ]
        return cls((own, *slots), tuple(PatternList(rule.paths) for rule in access.rules))

    def place(self, uri: str) -> int:
        """The ordinal of the slot that the document `uri` is in: its first matching rule's, else -1."""
        if not self._rules:
            return OWN
        path = readable(uri)
        return next((ordinal for ordinal, rule in enumerate(self._rules) if rule.matches(path)), OWN)

    def slots(self) -> tuple[Slot, ...]:
        """Every slot, the source's own first, then the rules' in order."""
        return self._slots

    def slot(self, uri: str) -> Slot:
        """The slot that the document `uri` is in."""
        return self._slots[self.place(uri) + 1]


def admits(readers: Iterable[Reader], caller: Caller, source_key: str) -> bool:
    """Whether `readers` name `caller`. An agent acting on behalf of a user has that user's rights here.

    Args:
        readers: an access list.
        caller: a verified identity. One that is neither a user nor a service account is nobody.
        source_key: `namespace/name` of the source, for readers of kind RBAC.
    """
    if not caller.user and caller.service_account is None:
        return False
    return any(_is(reader, caller, source_key) for reader in readers)


def _is(reader: Reader, caller: Caller, source_key: str) -> bool:
    match reader.kind:
        case ReaderKind.EVERYONE:
            return True
        case ReaderKind.USER:
            return caller.service_account is None and bool(reader.name) and reader.name == caller.user
        case ReaderKind.GROUP:
            return bool(reader.name) and reader.name in caller.groups
        case ReaderKind.SERVICE_ACCOUNT:
            return bool(reader.name and reader.namespace) and (reader.namespace, reader.name) == caller.service_account
        case ReaderKind.RBAC:
            return bool(source_key) and source_key in caller.rbac_sources
    return False


def readers_json(readers: Iterable[Reader]) -> str:
    """`readers` as the catalog keeps them: `[[kind, name, namespace]]`, sorted, each once, so that equal lists are equal text."""
    return json.dumps(sorted({(r.kind.value, r.name, r.namespace) for r in readers}), ensure_ascii=False, separators=(",", ":"))


def parse_readers(text: str) -> tuple[Reader, ...]:
    """The readers that `readers_json` wrote."""
    return tuple(Reader(ReaderKind(kind), name, namespace) for kind, name, namespace in json.loads(text))


def _plain(readers: Iterable[ReaderSpec]) -> tuple[Reader, ...]:
    return tuple(sorted({spec.reader for spec in readers}))
