"""`overlays/kind` with the image that is tried: installed as a person would, with an overlay over it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "manifests" / "overlays" / "kind"


@contextlib.contextmanager
def overlay(image: str, base: Path = OVERLAY) -> Iterator[Path]:
    """A folder for `kubectl apply -k`, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trueup-e2e-") as folder:
        # kustomize takes no absolute path, and follows no link to one.
        place = os.path.relpath(base, Path(folder).resolve())
        wanted = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [place],
            "images": [{"name": "trueup", **split(image)}],
        }
        (Path(folder) / "kustomization.yaml").write_text(json.dumps(wanted))
        yield Path(folder)


def split(image: str) -> dict[str, str]:
    """An image's reference as kustomize wants it: `registry:5000/a/b:tag` or `…@sha256:…`.

    Raises:
        ValueError: it is not one.
    """
    found = re.fullmatch(r"(?P<name>[\w.-]+(:\d+)?(/[\w.-]+)+|[\w.-]+)(:(?P<tag>[\w.-]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?", image)
    if found is None:
        raise ValueError(f"{image!r} is no reference of an image: write NAME:TAG or NAME@sha256:DIGEST.")
    if found["digest"]:
        return {"newName": found["name"], "digest": found["digest"]}
    return {"newName": found["name"], "newTag": found["tag"] or "latest"}
