"""The tables of what was seen, asked, answered and refused; those of what holds now are in `schema.py`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, String, Table, Text, text

from trueup.catalog.columns import Id, Name, PointId, metadata

observation = Table(
    "observation",
    metadata,
    Column("id", String, primary_key=True),
    Column("source_id", Id, nullable=False),
    Column("at", Double, nullable=False),
    Column("revision", Text),
    Column("whole", Boolean, nullable=False),
    Column("counts", Text, nullable=False),
    Index("ix_observation_source_id", "source_id", "at"),
)

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("source_id", Id, nullable=False),
    Column("namespace", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("type", String, nullable=False),  # Normal | Warning
    Column("reason", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_event_source_id", "source_id", "id"),
    sqlite_autoincrement=True,
)

revocation = Table(
    "revocation",
    metadata,
    Column("kind", String, primary_key=True),  # token | user
    Column("value", Text, primary_key=True),
    Column("at", Double, nullable=False),  # tokens of the user issued until then are refused
    Column("forget_at", Double, nullable=False),
)

retrieval = Table(
    "retrieval",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Double, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of the verify snapshot
    Column("principal", Text, nullable=False),
    Column("request", Text, nullable=False),  # JSON, without the query text
    Column("query", String, nullable=False),  # keyed digest of the query
    Column("scope", String, nullable=False),  # digest of the compiled scope
    Column("answer", Text, nullable=False),  # JSON: everything but the texts
    Column("candidates", LargeBinary, nullable=False),  # zlib of JSON [[point, score, why]]
    Index("ix_retrieval_principal", "principal", "at"),
)

# Query text apart from the record of it, so that it can be erased.
query_text = Table(
    "query_text",
    metadata,
    Column("retrieval_id", String, primary_key=True),
    Column("text", Text, nullable=False),
    Column("at", Double, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("retrieval_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("principal", Text, nullable=False),
    Column("point_id", PointId, nullable=False),
    Column("revision_id", Id, nullable=False),
    Column("digest", String, nullable=False),  # of the chunk
    Column("seq", BigInteger, nullable=False),
    Index("ix_delivery_revision_id", "revision_id"),
    Index("ix_delivery_principal", "principal", "seq"),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("chain", Name, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", Name, nullable=False),  # RFC 3339, milliseconds
    Column("kind", String, nullable=False),
    Column("principal", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("decision", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", Text, nullable=False),  # RFC 8785 JSON
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
)

# A gate's question to a source, for gates that run apart from the controller and have no credentials of sources.
ask = Table(
    "ask",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("source_id", Id, nullable=False),
    Column("uri", Name, nullable=False),
    Column("version", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("taken_at", Double),  # when a controller went to ask; whoever asks later asks anew
    Column("answered_at", Double),
    Column("presence", String),  # Same | Changed | Absent; null with answered_at: the source did not say
    # One flight a document: who asks while a question waits joins it.
    Index(
        "ix_ask_waiting",
        "source_id",
        "uri",
        "version",
        unique=True,
        sqlite_where=text("taken_at is null"),
        postgresql_where=text("taken_at is null"),
    ),
    Index("ix_ask_asked_at", "asked_at"),
    sqlite_autoincrement=True,
)
