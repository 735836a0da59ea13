"""What the gate reads on its hot path: the scope's slots, the candidates, their sources and texts.

Each is one statement by keys, whatever the number of candidates.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from trueup.catalog.bodies import unpack_body
from trueup.catalog.hot import Hot, HotByIds
from trueup.catalog.store import Read
from trueup.decide.delivery import Candidate
from trueup.errors import CatalogError
from trueup.model.index import GenerationSpec
from trueup.model.principal import Caller


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the catalog, for one caller.

    Attributes:
        sequence: of the snapshot. mark: the clock's high-water mark.
        revoked: the caller's token, or every token of its user issued until some time, was revoked.
    """

    sequence: int
    mark: float
    revoked: bool


_MOMENT = Hot(
    "SELECT s.value, s.at, EXISTS (SELECT 1 FROM revocation r WHERE r.kind = 'token' AND r.value = ?) "
    "OR EXISTS (SELECT 1 FROM revocation r WHERE r.kind = 'user' AND r.value = ? AND r.at >= ?) FROM sequence s WHERE s.id = 1"
)


def moment(read: Read, caller: Caller) -> Moment:
    """The moment that this snapshot shows.

    Raises:
        CatalogError: the catalog is not set up.
    """
    for sequence, mark, revoked in read.hot(_MOMENT, caller.token, caller.user or "", caller.issued_at):
        return Moment(int(sequence), float(mark), bool(revoked))
    raise CatalogError("The catalog has no sequence: it was never set up.")


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One access slot of a live source; `holds`: some live document is in it."""

    id: int
    source: int
    ordinal: int
    readers: str
    holds: bool


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A live source as far as finding it goes."""

    id: int
    namespace: str
    name: str
    index_key: str

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


_SOURCES = Hot("SELECT id, namespace, name, index_key FROM source WHERE state = 'live' ORDER BY namespace, name")
_SLOTS = Hot(
    "SELECT a.id, a.source_id, a.ordinal, a.readers, EXISTS (SELECT 1 FROM document d WHERE d.acl_id = a.id AND d.state = 'live') AS holds "
    "FROM acl a JOIN source s ON s.id = a.source_id WHERE s.state = 'live'"
)
_GENERATIONS = Hot("SELECT id, index_key, fingerprint, dimensions, sparse FROM generation WHERE state = 'serving'")


def sources(read: Read) -> tuple[SourceRow, ...]:
    """Every live source, by name."""
    return tuple(SourceRow(*row) for row in read.hot(_SOURCES))


def slots(read: Read) -> tuple[SlotRow, ...]:
    """Every access slot of every live source."""
    return tuple(SlotRow(row[0], row[1], row[2], row[3], bool(row[4])) for row in read.hot(_SLOTS))


def serving(read: Read) -> dict[str, GenerationSpec]:
    """The generation that each index serves, by index key."""
    return {row[1]: GenerationSpec(row[0], row[2], row[3], bool(row[4])) for row in read.hot(_GENERATIONS)}


_CANDIDATES = HotByIds(
    "SELECT c.point_id, c.generation_id, c.digest, c.byte_start, c.byte_end, c.line_start, c.line_end, c.heading, c.verdict, c.findings, "
    "r.id, r.state, r.version, r.digest, r.source_revision, r.observed_at, r.expires_at, r.conflict_key, "
    "d.id, d.source_id, d.uri, d.state, d.revision_id, d.modified, d.verified_at, d.stale_at "
    "FROM chunk c JOIN revision r ON r.id = c.revision_id JOIN document d ON d.id = r.document_id WHERE c.point_id"
)


def candidates(read: Read, points: Collection[str]) -> dict[str, Candidate]:
    """What the catalog holds of `points`; the unknown ones are missing."""
    found = {}
    for row in read.hot_by_ids(_CANDIDATES, points):
        found[row[0]] = Candidate(row[0], row[1], row[2], (row[3], row[4], row[5], row[6]), *row[7:])
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """A source as the verify step needs it; live or dead."""

    id: int
    namespace: str
    name: str
    alive: bool
    index_key: str
    spec: str
    verified_at: float | None
    generation: int | None
    """The one that its index serves now."""

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


_STANDING = HotByIds(
    "SELECT s.id, s.namespace, s.name, s.state, s.index_key, s.spec, s.verified_at, g.id "
    "FROM source s LEFT JOIN generation g ON g.index_key = s.index_key AND g.state = 'serving' WHERE s.id"
)


def standings(read: Read, ids: Collection[int]) -> dict[int, Standing]:
    """The sources with `ids`."""
    return {row[0]: Standing(row[0], row[1], row[2], row[3] == "live", *row[4:]) for row in read.hot_by_ids(_STANDING, ids)}


_BODIES = HotByIds("SELECT digest, data FROM body WHERE digest")


def texts(read: Read, digests: Collection[str]) -> dict[str, str]:
    """Chunk texts by digest; one that was purged is missing."""
    return {row[0]: unpack_body(row[1]) for row in read.hot_by_ids(_BODIES, digests)}


INCOMPLETE = "Incomplete"
"""What is said of a source whose last listing had gaps. Never where they are: a name is content too."""

_AILING = Hot("SELECT id, failure FROM source WHERE state = 'live' AND (failure IS NOT NULL OR gaps IS NOT NULL) ORDER BY namespace, name")


def ailing(read: Read) -> dict[int, str]:
    """The reason why each source that is not healthy is not, by id."""
    return {int(source): INCOMPLETE if failure is None else str(json.loads(failure)["reason"]) for source, failure in read.hot(_AILING)}
