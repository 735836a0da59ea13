"""What the tables of both files are made of."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, String, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ids that must never be reused: AUTOINCREMENT on SQLite (which needs plain INTEGER), an identity on PostgreSQL.
Id = BigInteger().with_variant(Integer, "sqlite")
# uris and names compare by code point everywhere, as the merge of a listing with the catalog needs.
Name = Text().with_variant(Text(collation="C"), "postgresql")
# The same for the ids of points, which the sweep merges with the index's in order.
PointId = String(36).with_variant(String(36, collation="C"), "postgresql")
