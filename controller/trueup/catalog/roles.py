"""Who may do what in a PostgreSQL catalog. The database holds what the code promises, should the code be broken into.

Three roles: the owner, who makes and migrates the tables and is used by nobody else; the operator; and the gates, which
face agents and therefore may add to the record of what they did, and change nothing that truth is made of. Nobody but
the owner can rewrite the audit log.
"""

from __future__ import annotations

import sqlalchemy as sa

from trueup.catalog.schema import metadata

APPEND_ONLY = ("audit",)
"""What the operator adds to and never changes."""

GATE = {
    "audit": "INSERT",
    "retrieval": "INSERT",
    "delivery": "INSERT",
    "query_text": "INSERT",
    "revocation": "INSERT, UPDATE (at, forget_at)",
    "ask": "INSERT, UPDATE (asked_at)",
    "sequence": "UPDATE",
}
"""What a gate may write; it reads everything. A table that is not here it cannot change, new ones included."""

_DECIDED = "SELECT, INSERT, UPDATE, DELETE"


def grant(connection: sa.Connection, *, gate: str, operator: str) -> None:
    """Give the existing roles `gate` and `operator` their rights on the tables, and no others. Idempotent; to be run by
    the owner, after each migration.

    Raises:
        sqlalchemy.exc.ProgrammingError: a role does not exist, or the connection's user does not own the tables.
    """
    quote = connection.dialect.identifier_preparer.quote
    gate, operator = quote(gate), quote(operator)
    schema = quote(str(connection.scalar(sa.text("SELECT current_schema()"))))
    tables = [*metadata.tables, "alembic_version"]
    for role in (gate, operator):
        _run(connection, f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}")
        _run(connection, f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}")
        _run(connection, f"REVOKE CREATE ON SCHEMA {schema} FROM {role}")
        _run(connection, f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        _run(connection, f"GRANT SELECT ON {', '.join(quote(table) for table in tables)} TO {role}")
    for table in metadata.tables:
        rights = "SELECT, INSERT" if table in APPEND_ONLY else _DECIDED
        _run(connection, f"GRANT {rights} ON {quote(table)} TO {operator}")
        if table in GATE:
            _run(connection, f"GRANT {GATE[table]} ON {quote(table)} TO {gate}")
        numbers = connection.scalar(_NUMBERS, {"table": table}) if "id" in metadata.tables[table].c else None
        if numbers is not None:
            _run(connection, f"GRANT USAGE ON SEQUENCE {numbers} TO {operator}")
            if "INSERT" in GATE.get(table, ""):
                _run(connection, f"GRANT USAGE ON SEQUENCE {numbers} TO {gate}")


# The generator of a table's ids, quoted as SQL wants it; null where the ids are not numbers.
_NUMBERS = sa.text("SELECT pg_get_serial_sequence(quote_ident(:table), 'id')")


def _run(connection: sa.Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)
