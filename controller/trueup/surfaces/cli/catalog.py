"""`catalog prepare`: what the owner of a PostgreSQL catalog does, so that neither operator nor gate need its rights."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from trueup.surfaces.cli.failure import Failed, Misused
from trueup.surfaces.cli.screen import say

if TYPE_CHECKING:
    from trueup.catalog.store import Write


def prepare(
    operator: Annotated[str, typer.Option("--operator", metavar="ROLE", help="The role of operators, which must exist.")] = "",
    gate: Annotated[str, typer.Option("--gate", metavar="ROLE", help="The role of gates, which must exist.")] = "",
) -> None:
    """Migrate the catalog that TRUEUP_CATALOG names, as its owner, and give the two roles their rights and no others."""
    if bool(operator) != bool(gate):
        raise Misused("Name both roles, --operator and --gate, or neither: one that is left out would keep what it has.")
    from trueup.app import SystemClock
    from trueup.catalog import migrate, roles
    from trueup.catalog.opening import open_store
    from trueup.cluster_settings import ClusterSettings
    from trueup.errors import CatalogError

    def unit(tx: Write) -> None:
        # One transaction, and so under the lock of migrations: replicas that start together take turns.
        migrate.prepare(tx.connection)
        if operator:
            roles.grant(tx.connection, operator=operator, gate=gate)

    with closing(open_store(ClusterSettings.of().catalog, SystemClock())) as store:
        if operator and store.dialect != "postgresql":
            raise Misused("A catalog in SQLite has no roles: leave out --operator and --gate.")
        try:
            store.write(unit)
        except CatalogError as error:
            raise Failed(f"{error} It is as it was. Connect as the role that owns its tables; both roles must exist.") from error
    say(f"The catalog is at schema {migrate.head()}.")
