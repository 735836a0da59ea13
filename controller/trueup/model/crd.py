"""The CustomResourceDefinitions, made from the resource models: structural schemas with defaults, bounds and CEL.

`python -m trueup.model.crd --write DIR` writes them, `--check DIR` exits 1 where a file differs. Ours, because pydantic's
own JSON schema is no structural one ($ref, anyOf with null, numeric exclusiveMinimum).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trueup.model.resources.contextindex import ContextIndex
from trueup.model.resources.contextsource import ContextSource
from trueup.model.resources.fields import Model
from trueup.model.structural import object_schema

GROUP = "trueup.dev"
VERSION = "v1alpha1"
_READY = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; a priority above 0 shows only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0

    def dump(self) -> dict[str, Any]:
        """As the CRD has it."""
        shown: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return {**shown, "priority": self.priority} if self.priority else shown


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says besides its schema."""

    model: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]

    @property
    def name(self) -> str:
        """The kind."""
        return self.model.__name__


AGE = Column("Age", ".metadata.creationTimestamp", "date")
KINDS = (
    Kind(
        ContextSource,
        "contextsources",
        "ctxsrc",
        (
            Column("Type", ".spec.source.type"),
            Column("Ready", f"{_READY}.status"),
            Column("Fresh", '.status.conditions[?(@.type=="Fresh")].status'),
            Column("Docs", ".status.documents.live", "integer"),
            Column("Tombstones", ".status.tombstones", "integer"),
            Column("Status", f"{_READY}.message"),
            AGE,
            Column("Revision", ".status.revision", priority=1),
            Column("Chunks", ".status.chunks", "integer", 1),
            Column("Index", ".spec.indexRef.name", priority=1),
        ),
        (".spec.source.type", ".spec.indexRef.name"),
    ),
    Kind(
        ContextIndex,
        "contextindexes",
        "ctxidx",
        (
            Column("Provider", ".spec.embedding.provider"),
            Column("Mode", ".spec.mode"),
            Column("Ready", f"{_READY}.status"),
            Column("Chunks", ".status.chunks", "integer"),
            Column("Status", f"{_READY}.message"),
            AGE,
            Column("Serving", ".status.serving", priority=1),
            Column("Building", ".status.building", priority=1),
        ),
        (".spec.mode",),
    ),
)


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of `kind`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["trueup"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [column.dump() for column in kind.columns],
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": _root(kind.model)},
                }
            ],
        },
    }


def _root(model: type[Model]) -> dict[str, Any]:
    """The schema of a whole object. What `metadata` may hold is Kubernetes' business."""
    schema = object_schema(model)
    properties = schema["properties"]
    for name in ("apiVersion", "kind", "metadata"):
        properties[name] = {"type": "object" if name == "metadata" else "string"}
    schema["required"] = ["spec"]
    return schema


def render_crds() -> dict[str, str]:
    """The text of every file in `crds/`, by its name."""
    head = "# Made by `python -m trueup.model.crd --write crds` from the models in trueup.model.resources. Do not edit.\n"
    return {f"{GROUP}_{kind.plural}.yaml": head + yaml.dump(crd(kind), sort_keys=False, width=140, allow_unicode=True) for kind in KINDS}


def drift(folder: Path) -> list[str]:
    """Names of the files in `folder` that are not what the models make, or that nothing makes."""
    made = render_crds()
    there = {path.name: path.read_text("utf-8") for path in folder.glob("*.yaml")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trueup.model.crd", description="Write or check the CustomResourceDefinitions.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, metavar="DIR")
    what.add_argument("--check", type=Path, metavar="DIR")
    asked = parser.parse_args(arguments)
    if asked.write:
        for name, text in render_crds().items():
            (asked.write / name).write_text(text, "utf-8")
        return 0
    differing = drift(asked.check)
    if differing:
        sys.stderr.write(f"{', '.join(differing)}: not what the models make; run python -m trueup.model.crd --write {asked.check}.\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
