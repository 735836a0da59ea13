"""`crd`: the resource definitions, as a cluster takes them."""

from __future__ import annotations


def crd() -> None:
    """Print the CustomResourceDefinitions, for `kubectl apply -f -`."""
    from trueup.model.crd import render_crds

    print("---\n".join(text if text.endswith("\n") else text + "\n" for _, text in sorted(render_crds().items())), end="")
