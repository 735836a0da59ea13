"""Manifests from files, folders and stdin: read, their relative paths made absolute, and checked before anything is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trueup.errors import Invalid
from trueup.surfaces.cli.failure import Failed, Misused
from trueup.surfaces.cli.names import DEFAULT_NAMESPACE, KINDS, Kind, Name

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One resource as it was written down.

    Attributes:
        origin: where it stands, for messages: the file, and which document in it.
        kind: its kind.
        name: its namespace and name.
        body: the object, with the namespace filled in and paths absolute.
    """

    origin: str
    kind: Kind
    name: Name
    body: dict[str, Any]


def read_manifests(files: list[str], namespace: str | None) -> list[Manifest]:
    """Every resource in `files`, in order.

    Args:
        files: paths of files or folders (their YAML and JSON files, not deeper), or `-` for stdin.
        namespace: what `-n` gave, for those that name none.

    Raises:
        Failed: one cannot be read, is no YAML, or is no resource of ours; nothing is returned then.
        Misused: a manifest names another namespace than `-n`.
    """
    manifests = [_manifest(origin, base, document, namespace) for file in files for origin, base, document in _documents(file)]
    if not manifests:
        raise Failed(f"There is no resource in {', '.join(files)}.")
    return manifests


def _documents(file: str) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """(origin, folder that relative paths start from, object) of everything in one `-f`."""
    if file == "-":
        yield from _loaded("stdin", Path.cwd(), sys.stdin.read())
        return
    place = Path(file)
    inside = sorted(p for p in place.iterdir() if p.suffix in SUFFIXES and p.is_file()) if place.is_dir() else [place]
    if not inside:
        raise Failed(f"The folder {file} has no {', '.join(SUFFIXES)} file.")
    for each in inside:
        try:
            text = each.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise Failed(f"There is no file {each}.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"{each} cannot be read ({type(error).__name__}); it must be a readable UTF-8 file.") from error
        yield from _loaded(str(each), each.absolute().parent, text)


def _loaded(origin: str, base: Path, text: str) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    from trueup.model.resources import load_yaml

    try:
        objects = load_yaml(text)
    except Invalid as error:
        raise Failed(f"{origin}: {error}") from error
    for number, each in enumerate(objects, 1):
        yield (origin if len(objects) == 1 else f"{origin} (resource {number})"), base, each


def _manifest(origin: str, base: Path, document: dict[str, Any], namespace: str | None) -> Manifest:
    from trueup.model.resources import make_absolute

    kind = next((k for k in KINDS if k.name == document.get("kind")), None)
    if kind is None:
        raise Failed(f"{origin}: kind must be one of {', '.join(k.name for k in KINDS)}.")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise Failed(f"{origin}: metadata.name is required.")
    inside = metadata.get("namespace")
    if inside and namespace and inside != namespace:
        raise Misused(f"{origin} is of namespace {inside}, and -n says {namespace}: leave one of them out.")
    where = inside or namespace or DEFAULT_NAMESPACE
    body = make_absolute({**document, "metadata": {**metadata, "namespace": where}}, PurePosixPath(base), PurePosixPath(Path.home()))
    return Manifest(origin, kind, Name(str(where), metadata["name"]), body)


def validate(manifest: Manifest) -> None:
    """Check a manifest as the server will, so that nothing of a batch is sent when one is wrong.

    Raises:
        Failed: it is not valid; the message names the field and what to do.
    """
    from trueup.model.resources import parse_manifest

    try:
        parse_manifest(manifest.body)
    except Invalid as error:
        raise Failed(f"{manifest.origin}: {error}") from error
