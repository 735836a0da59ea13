"""`metadata`: what Kubernetes has there, held to the same rules when no cluster is near."""

from __future__ import annotations

import re
from typing import Annotated, Any

from annotated_types import Len
from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StringConstraints
from pydantic_core import PydanticCustomError

from trueup.model.resources.fields import Model, Name, NamespaceName

REQUESTED_AT = "trueup.dev/requestedAt"
"""Reconcile now; opaque, echoed in status.lastHandledReconcileAt."""
CONFIRM_DELETION = "trueup.dev/confirmDeletion"
"""The observation id whose held deletion is released."""
OURS = "trueup.dev/"
"""The prefix of our annotations."""
FINALIZER = "trueup.dev/finalizer"

_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_ANNOTATION_BYTES = 256 * 1024
_OTHERS = frozenset({"managedFields", "ownerReferences", "generateName", "selfLink", "deletionGracePeriodSeconds"})
"""What an API server may add that we have no use for."""


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not _KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(text):
            raise PydanticCustomError("labels", "keys and values must be letters, digits, dashes, underscores and dots, at most 63")
    return value


def _annotations(value: dict[str, str]) -> dict[str, str]:
    if not all(_KEY.fullmatch(key) for key in value):
        raise PydanticCustomError("annotations", "keys must be letters, digits, dashes, underscores and dots, at most 63 after an optional DNS prefix")
    if sum(len(k.encode()) + len(v.encode()) for k, v in value.items()) > _ANNOTATION_BYTES:
        raise PydanticCustomError("annotations", "must be at most 256 KiB in all")
    return value


def without_others(value: object) -> Any:
    """`value` without the members that only an API server writes and we do not read."""
    return {k: v for k, v in value.items() if k not in _OTHERS} if isinstance(value, dict) else value


_Text = Annotated[str, StringConstraints(max_length=256)]
Labels = Annotated[dict[str, str], Len(0, 64), AfterValidator(_labels)]
Annotations = Annotated[dict[str, str], Len(0, 256), AfterValidator(_annotations)]


class ObjectMeta(Model):
    """Name, place and history of a resource."""

    name: Name
    """A DNS-1123 subdomain."""
    namespace: NamespaceName = "default"
    """A DNS label."""
    labels: Labels = Field(default_factory=dict)
    """Labels, as in Kubernetes."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations, as in Kubernetes."""
    finalizers: Annotated[tuple[_Text, ...], Len(0, 64)] = ()
    """Who must agree before the object goes."""
    uid: _Text | None = None
    """Unique in space and time."""
    generation: StrictInt | None = None
    """Counts changes of the spec."""
    resource_version: _Text | None = None
    """Opaque; given back, it must be the present one."""
    creation_timestamp: _Text | None = None
    """When it was created, RFC 3339."""
    deletion_timestamp: _Text | None = None
    """Since when it is to go, RFC 3339."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


Metadata = Annotated[ObjectMeta, BeforeValidator(without_others)]
