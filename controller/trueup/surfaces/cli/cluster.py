"""`operator` and `gate`: the parts of a cluster installation. Their settings are their environment."""

from __future__ import annotations

from typing import Annotated

import typer

from trueup.surfaces.cli.failure import Failed

_EXTRA = "Kubernetes support is not installed: install trueup[operator]."


def _missing(error: ModuleNotFoundError) -> Exception:
    """What to say of a module that is not there: an extra that was left out, or a defect."""
    return Failed(_EXTRA) if (error.name or "").partition(".")[0] in {"kopf", "kubernetes"} else error


def operator(
    with_gate: Annotated[bool, typer.Option("--with-gate", help="Answer in this process too: one pod, embedded index.")] = False,
) -> None:
    """Reconcile the ContextSources of a cluster until SIGTERM. Settings come from TRUEUP_… variables, see docs/cluster.md."""
    try:
        from trueup.cluster_app import operator as run
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    from trueup.cluster_settings import ClusterSettings

    try:
        run(ClusterSettings.of(), with_gate=with_gate)
    except OSError as error:
        raise Failed(f"The operator cannot run: {error.strerror or error}.") from error


def gate() -> None:
    """Answer from the catalog that an operator keeps, until SIGTERM. Settings come from TRUEUP_… variables, see docs/cluster.md."""
    try:
        from trueup.cluster_app import gate as run
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    from trueup.cluster_settings import ClusterSettings

    try:
        run(ClusterSettings.of())
    except OSError as error:
        raise Failed(f"The gate cannot run: {error.strerror or error}.") from error
