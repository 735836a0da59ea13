"""Manifests for the tests of the resources."""

from typing import Any


def source(**spec: Any) -> dict[str, Any]:
    """A small valid ContextSource, with members of its spec replaced or added."""
    return {
        "apiVersion": "trueup.dev/v1alpha1",
        "kind": "ContextSource",
        "metadata": {"name": "docs"},
        "spec": {"source": {"type": "Directory", "directory": {"path": "/srv/docs"}}, **spec},
    }


def git(**members: Any) -> dict[str, Any]:
    """A ContextSource of type Git."""
    return source(source={"type": "Git", "git": {"url": "https://git.example.org/team/docs.git", **members}})
