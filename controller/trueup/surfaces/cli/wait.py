"""`wait`, `reconcile` and `confirm`: what is asked of one source, and its being so."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

import typer

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.connection import connect
from trueup.surfaces.cli.failure import Failed, Misused
from trueup.surfaces.cli.names import SOURCE, Name, kind_of, parse_name, source_word
from trueup.surfaces.cli.objects import CONFIRM, REQUESTED, annotate, condition, get_object, is_true
from trueup.surfaces.cli.options import KindWord, Namespace, SourceName, seconds
from trueup.surfaces.cli.screen import line, note, say, working

POLL_SECONDS = 0.1
"""Between two reads of one object while somebody waits; one read costs well under a millisecond."""


def wait(
    kind: KindWord,
    name: SourceName,
    wanted: Annotated[str, typer.Option("--for", metavar="condition=TYPE[=STATUS]", help="For example condition=Ready, or condition=Ready=False.")],
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION")] = "60s",
    namespace: Namespace = None,
) -> None:
    """Wait until a condition holds for the generation that was declared last."""
    which, full = kind_of(kind), parse_name(name, namespace)
    word, _, rest = wanted.partition("=")
    condition_type, _, status = rest.partition("=")
    status = status or "True"
    if word != "condition" or not condition_type or status not in {"True", "False", "Unknown"}:
        raise Misused(f"--for={wanted} is not understood: write condition=Ready, or condition=Ready=False.")
    limit = seconds(timeout)
    deadline = time.monotonic() + limit
    with connect() as api, working(f"Waiting for {full} to be {condition_type}={status}") as tell:
        while True:
            present = get_object(api, which, full)
            if holds(present, condition_type, status):
                say(f"{which.singular}/{full.name} condition met")
                return
            message = (condition(present, "Ready") or {}).get("message") or "it has not been visited yet"
            tell(f"{full}: {message}")
            if time.monotonic() >= deadline:
                raise Failed(f"{condition_type} of {full} did not become {status} within {timeout}: {line(message)}")
            time.sleep(POLL_SECONDS)


def holds(present: dict[str, Any], kind: str, status: str) -> bool:
    """Whether a condition has `status` and speaks of the present generation.

    A condition has an observedGeneration of its own, which moves with each visit; the status's moves only when the generation
    ended Ready or Stalled, so for Ready=True both must be the present one.
    """
    found = condition(present, kind)
    if found is None or found["status"] != status:
        return False
    generation = present["metadata"]["generation"]
    whole = (present.get("status") or {}).get("observedGeneration", -1)
    if found.get("observedGeneration", whole) < generation:
        return False
    return (kind, status) != ("Ready", "True") or whole >= generation


def reconcile(
    kind: KindWord,
    name: SourceName,
    wait_for_it: Annotated[bool, typer.Option("--wait", help="Return once a pass that began after this request has published.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="For --wait.")] = "5m",
    namespace: Namespace = None,
) -> None:
    """Have a source looked at now."""
    source_word(kind)
    full, limit = parse_name(name, namespace), seconds(timeout)
    # Unique, so that the echo of this request cannot be that of another one made in the same instant.
    request = f"{time.time():.3f}-{secrets.token_hex(4)}"
    with connect() as api:
        stored = annotate(api, SOURCE, full, {REQUESTED: request})
        if stored["spec"].get("suspend"):
            raise Failed(f"{full} is suspended, so it is not looked at: set spec.suspend to false first.")
        if not wait_for_it:
            say(f"{SOURCE.singular}/{full.name} reconciliation requested")
            return
        done = _handled(api, full, request, limit, timeout)
    failure = failed_pass(done)
    if failure is not None:
        raise Failed(f"The pass over {full} failed: {line(failure)}")
    held = (done.get("status") or {}).get("heldDeletion")
    if held:
        note(f"A deletion is held: look at it with `trueup describe source {full}`, release it with `trueup confirm source {full} {held['observation']}`.")
    say(f"{SOURCE.singular}/{full.name} reconciled")


def _handled(api: Api, name: Name, request: str, limit: float, timeout: str) -> dict[str, Any]:
    """The source once its pass for `request` is over."""
    deadline = time.monotonic() + limit
    with working(f"Reconciling {name}") as tell:
        while True:
            present = get_object(api, SOURCE, name)
            if present["spec"].get("suspend"):
                raise Failed(f"{name} is suspended, so it is not looked at: set spec.suspend to false first.")
            handled = (present.get("status") or {}).get("lastHandledReconcileAt") == request
            if handled and (failed_pass(present) is not None or not is_true(present, "Reconciling")):
                return present
            message = (condition(present, "Ready") or {}).get("message") or "waiting for the pass"
            tell(f"{name}: {message}")
            if time.monotonic() >= deadline:
                raise Failed(f"The pass over {name} was not over within {timeout}: {line(message)}")
            time.sleep(POLL_SECONDS)


def failed_pass(present: dict[str, Any]) -> str | None:
    """Why the last pass over a source failed, or None where it did not.

    A listing with gaps is no failed pass: FetchFailed is True then, and Ready is too, since everything outside the gaps went on.
    """
    for kind, bad in (("Ready", "False"), ("Stalled", "True"), ("IndexWriteFailed", "True")):
        found = condition(present, kind)
        if found is not None and found["status"] == bad:
            return str(found.get("message") or found["reason"])
    return None


def confirm(
    kind: KindWord,
    name: SourceName,
    observation: Annotated[str, typer.Argument(metavar="OBSERVATION", help="The id that `describe` shows beside the held deletion.")],
    namespace: Namespace = None,
) -> None:
    """Release a held deletion: what is missing from the source is erased."""
    source_word(kind)
    full = parse_name(name, namespace)
    with connect() as api:
        present = get_object(api, SOURCE, full)
        held = (present.get("status") or {}).get("heldDeletion")
        if not held:
            raise Failed(f"Nothing is held in {full}, so there is nothing to confirm.")
        if held["observation"] != observation:
            raise Failed(
                f"{full} holds the deletion of observation {line(held['observation'])}, not of that one: look at it with `trueup describe source {full}` first."
            )
        annotate(api, SOURCE, full, {CONFIRM: observation})
    say(f"{SOURCE.singular}/{full.name} confirmed")
