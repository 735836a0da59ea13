"""The catalog's tables, one definition for SQLite and PostgreSQL.

Times are seconds since the epoch (UTC) as double precision. JSON is text that the catalog wrote itself. Rows carry the
sequence of the transaction that last changed their truth, so that readers can tell "later than".
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from trueup.catalog.columns import Id, Name, PointId, metadata
from trueup.catalog.records import ask, audit, delivery, event, observation, query_text, retrieval, revocation

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# One row. `value` is the commit counter; `at` the clock's high-water mark.
sequence = Table(
    "sequence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)

# The declared resources of the embedded profile; in a cluster the API server holds them.
resource = Table(
    "resource",
    metadata,
    Column("kind", String, primary_key=True),
    Column("namespace", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("uid", String, nullable=False, unique=True),
    Column("generation", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),  # metadata.resourceVersion
    Column("metadata", Text, nullable=False),  # labels, annotations, creationTimestamp
    Column("spec", Text, nullable=False),
    Column("status", Text, nullable=False),
)

source = Table(
    "source",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("uid", String, nullable=False, unique=True),
    Column("namespace", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("state", String, nullable=False),  # live | dead
    Column("epoch", BigInteger, nullable=False),  # raised by delete and takeover; a pass with an older one writes nothing
    Column("generation", Integer, nullable=False),  # of the declared spec
    Column("spec", Text, nullable=False),
    Column("index_key", Name, nullable=False),  # the ContextIndex "namespace/name", or "" for the built-in default
    Column("next_index", Name),  # the index that is to serve it once its documents are there too; loading fills both
    Column("settings", String, nullable=False),  # digest of what decides ingest
    Column("selection", String, nullable=False, server_default=""),  # digest of include/exclude that the documents were last matched with
    Column("access", String, nullable=False),  # digest of readers and rules as declared
    Column("placed", String, nullable=False, server_default=""),  # digest of access by which documents were last placed in slots
    Column("ingested", String, nullable=False, server_default=""),  # ingest settings with which every document was last queued
    Column("suspended", Boolean, nullable=False, server_default=text("false")),
    # what the last decided look left
    Column("revision", Text),
    Column("decided_generation", Integer, nullable=False, server_default="-1"),
    Column("observation", String),
    Column("verified_at", Double),  # the freshness lease: when a look began that read the source; null: never
    Column("changed_at", Double),
    # what is wrong with it now
    Column("failure", Text),  # JSON {reason, message, since, count, next_at}, null while healthy
    Column("gaps", Text),  # JSON [{prefix, reason}]
    Column("held_observation", String),
    Column("held_since", Double),
    Column("held_reason", Text),
    # kept by apply, publish and purge, so that status costs nothing; the sweep counts them anew
    Column("chunks", BigInteger, nullable=False, server_default="0"),  # of live and held revisions, in the serving generation
    Column("tombstones", BigInteger, nullable=False, server_default="0"),  # not yet purged
    Column("retain", Boolean, nullable=False, server_default=text("false")),  # a dead source whose points stay
    Column("seq", BigInteger, nullable=False),
    Index("ix_source_live_name", "namespace", "name", unique=True, sqlite_where=text("state = 'live'"), postgresql_where=text("state = 'live'")),
    sqlite_autoincrement=True,
)

# The slots that documents of a source are in: one a rule (ordinal from 0) and the source's own (-1). Narrowing a list
# is one row here; `readers` is what the slot admits now.
acl = Table(
    "acl",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("source_id", Id, ForeignKey("source.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("readers", Text, nullable=False),  # JSON [[kind, name, namespace]], sorted
    Column("classification", String, nullable=False),
    UniqueConstraint("source_id", "ordinal"),
    sqlite_autoincrement=True,
)

document = Table(
    "document",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("source_id", Id, ForeignKey("source.id"), nullable=False),
    Column("uri", Name, nullable=False),
    # pending: listed, nothing published yet. live: `revision_id` is served. held: hidden until confirmed or back.
    # dead: tombstoned. expired: its time-to-live passed while the origin still lists it.
    # refused: listed, but nothing can be had from it; `failure` says why (Unsupported, Skipped, TooLarge, ...).
    Column("state", String, nullable=False),
    Column("revision_id", Id),  # the live (or held) revision
    Column("version", Text),  # as last listed
    Column("size", BigInteger),
    Column("modified", Double),
    Column("identity", Text),
    Column("settings", String, nullable=False, server_default=""),  # ingest settings of what is published
    Column("acl_id", Id, nullable=False),
    Column("verified_at", Double),  # only where it differs from the source's (inside a gap)
    Column("stale_at", Double),  # when its live revision was seen to be superseded and not yet replaced
    # the queue of loading: set while a version is wanted that is not published
    Column("wanted", Text),
    Column("wanted_since", Double),
    Column("wanted_class", Integer, nullable=False, server_default="0"),  # 0 a change, 1 an addition, 2 a rebuild; 9: not decided yet, not to be loaded
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("retry_at", Double),
    Column("failure", String),  # why the wanted version is not served, else null
    Column("failure_message", Text),
    Column("quarantined", Boolean, nullable=False, server_default=text("false")),  # some chunk of the live revision is
    Column("observation", String),  # the look that last changed this row
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("source_id", "uri"),
    Index("ix_document_wanted", "source_id", "wanted_class", "id", sqlite_where=text("wanted is not null"), postgresql_where=text("wanted is not null")),
    Index("ix_document_identity", "source_id", "identity", sqlite_where=text("state = 'live'"), postgresql_where=text("state = 'live'")),
    Index("ix_document_state", "source_id", "state", "failure"),
    Index("ix_document_verified", "source_id", sqlite_where=text("verified_at is not null"), postgresql_where=text("verified_at is not null")),
    Index("ix_document_acl", "acl_id", sqlite_where=text("state = 'live'"), postgresql_where=text("state = 'live'")),  # which slots hold anything
    Index("ix_document_stale", "stale_at", sqlite_where=text("stale_at is not null"), postgresql_where=text("stale_at is not null")),
    sqlite_autoincrement=True,
)

revision = Table(
    "revision",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("document_id", Id, nullable=False),
    Column("source_id", Id, nullable=False),
    Column("state", String, nullable=False),  # live | dead
    Column("version", Text, nullable=False),
    Column("digest", String, nullable=False),  # sha256:hex of the bytes
    Column("source_revision", Text),
    Column("observed_at", Double, nullable=False),  # when this version was first seen: the time-to-live counts from here
    Column("expires_at", Double),  # front matter
    Column("conflict_key", Text),
    Column("chunks", Integer, nullable=False),  # in the serving generation, quarantined ones left out
    Column("seq", BigInteger, nullable=False),  # published with
    Index("ix_revision_document_id", "document_id"),
    Index("ix_revision_dead", "source_id", sqlite_where=text("state = 'dead'"), postgresql_where=text("state = 'dead'")),
    Index("ix_revision_live", "source_id", "observed_at", sqlite_where=text("state = 'live'"), postgresql_where=text("state = 'live'")),
    Index(
        "ix_revision_conflict",
        "conflict_key",
        sqlite_where=text("conflict_key is not null and state = 'live'"),
        postgresql_where=text("conflict_key is not null and state = 'live'"),
    ),
    Index(
        "ix_revision_expires",
        "expires_at",
        sqlite_where=text("expires_at is not null and state = 'live'"),
        postgresql_where=text("expires_at is not null and state = 'live'"),
    ),
    sqlite_autoincrement=True,
)

# Not WITHOUT ROWID, nor are `body` and `vector`: rows of such size in the order of random keys double the pages that loading writes,
# and a page holds no two vectors.
chunk = Table(
    "chunk",
    metadata,
    Column("point_id", PointId, primary_key=True),
    Column("revision_id", Id, nullable=False),
    Column("generation_id", Id, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("digest", String, nullable=False),  # key of text and vector
    Column("byte_start", BigInteger),
    Column("byte_end", BigInteger),
    Column("line_start", Integer, nullable=False),
    Column("line_end", Integer, nullable=False),
    Column("heading", Text, nullable=False),  # JSON list
    Column("verdict", String, nullable=False),  # Clean | Flagged | Quarantined; a quarantined chunk has neither text nor point
    Column("findings", Text),  # JSON list of rule names
    Index("ix_chunk_revision_id", "revision_id"),
    Index("ix_chunk_digest", "digest"),
    Index("ix_chunk_generation_id", "generation_id", "point_id"),
)

# The text of a chunk by its digest: a one-byte codec (0 raw UTF-8, 1 zlib) and the body.
body = Table(
    "body",
    metadata,
    Column("digest", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

vector = Table(
    "vector",
    metadata,
    Column("fingerprint", String, primary_key=True),  # of the embedder
    Column("digest", String, primary_key=True),
    Column("dense", LargeBinary),  # little-endian float32
    Column("sparse", LargeBinary),  # uint32 count, uint32 ids, float32 weights, little-endian
)

# Point ids to be driven to the catalog's present state. Not verbs: a late row is harmless.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("generation_id", Id, nullable=False),
    Column("point_id", PointId, nullable=False),
    sqlite_autoincrement=True,
)

tombstone = Table(
    "tombstone",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("seq", BigInteger, nullable=False),
    Column("source_id", Id, nullable=False),
    Column("document_id", Id, nullable=False),
    Column("revision_id", Id, nullable=False, unique=True),
    Column("uri", Name, nullable=False),
    Column("version", Text, nullable=False),
    Column("source_revision", Text),
    Column("digest", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("at", Double, nullable=False),
    Column("observation", String, nullable=False),
    Column("successor", Text),
    Column("readers", Text, nullable=False),  # who could read it when it died
    Column("classification", String, nullable=False),
    Column("purged_at", Double),
    Index("ix_tombstone_source_id", "source_id", "id"),
    Index("ix_tombstone_seq", "seq"),
    Index("ix_tombstone_digest", "source_id", "digest"),
    Index("ix_tombstone_unpurged", "at", sqlite_where=text("purged_at is null"), postgresql_where=text("purged_at is null")),
    sqlite_autoincrement=True,
)

generation = Table(
    "generation",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("index_key", Name, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("embedding", Text, nullable=False),  # JSON: provider, model, dimensions, mode: enough to make the embedder again
    Column("dimensions", Integer, nullable=False),
    Column("sparse", Boolean, nullable=False),
    Column("state", String, nullable=False),  # building | serving | retired
    Column("degraded", Text),  # why it is less than what was asked for (no model installed), for status
    Column("created_at", Double, nullable=False),
    Index("ix_generation_index_key", "index_key", "state"),
    sqlite_autoincrement=True,
)

__all__ = [
    "acl",
    "ask",
    "audit",
    "body",
    "chunk",
    "delivery",
    "document",
    "event",
    "generation",
    "meta",
    "metadata",
    "observation",
    "outbox",
    "query_text",
    "resource",
    "retrieval",
    "revision",
    "revocation",
    "sequence",
    "source",
    "tombstone",
    "vector",
]
