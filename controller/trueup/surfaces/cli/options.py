"""Arguments and options that several commands share, with their completion."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from trueup.surfaces.cli.failure import Failed, Misused


class Output(enum.StrEnum):
    """The forms that `get` prints."""

    JSON = "json"
    YAML = "yaml"
    WIDE = "wide"


class Document(enum.StrEnum):
    """The forms in which one object can be printed whole."""

    JSON = "json"
    YAML = "yaml"


def complete_kinds(incomplete: str) -> list[str]:
    """Kinds for the shell."""
    return [k for k in ("source", "index") if k.startswith(incomplete)]


def complete_sources(incomplete: str) -> list[str]:
    """Names of sources for the shell: NAME in `default`, NS/NAME elsewhere. Says nothing where no server answers."""
    from trueup.surfaces.cli.connection import connect
    from trueup.surfaces.cli.names import DEFAULT_NAMESPACE, SOURCE
    from trueup.surfaces.cli.objects import list_objects

    try:
        with connect() as api:
            found = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in list_objects(api, SOURCE, None)]
    except Failed:
        return []
    names = [name if ns == DEFAULT_NAMESPACE else f"{ns}/{name}" for ns, name in found]
    return [n for n in names if n.startswith(incomplete)]


Namespace = Annotated[str | None, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Where a name has no namespace of its own. [default: default]")]
KindWord = Annotated[str, typer.Argument(metavar="source", help="The kind; these commands know sources.", autocompletion=complete_kinds)]
SourceName = Annotated[str, typer.Argument(metavar="NAME", help="NAME, or NAMESPACE/NAME.", autocompletion=complete_sources)]
WholeOutput = Annotated[Document | None, typer.Option("--output", "-o", help="Print the object as the API has it.")]


def seconds(text: str) -> float:
    """Seconds of a duration option such as `60s` or `1h30m`.

    Raises:
        Misused: it is no duration.
    """
    from trueup.model.times import duration

    try:
        return duration(text)
    except ValueError as error:
        raise Misused(f"{text!r} is {error}.") from error
