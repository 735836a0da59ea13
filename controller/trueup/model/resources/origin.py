"""`spec.source`: one model, a type and exactly the member it names.

Not a discriminated union: pydantic's does not come out as a structural schema. `rules.MEMBERS` gives both sides the rule.
"""

from __future__ import annotations

import enum
import posixpath
from typing import Annotated

from annotated_types import Len
from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from trueup.model.resources.fields import Commit, FilePath, GitName, Model, Name, PluginName, Url
from trueup.model.resources.rules import MEMBERS, UNREAD


class SourceType(enum.StrEnum):
    """Where documents come from."""

    DIRECTORY = "Directory"
    GIT = "Git"
    CONFIG_MAP = "ConfigMap"
    PLUGIN = "Plugin"


def _known(value: object) -> object:
    if value in UNREAD:
        raise PydanticCustomError("unread", "this version cannot read {kind} sources; it reads {members}", {"kind": value, "members": ", ".join(MEMBERS)})
    return value


class DirectorySource(Model):
    """A folder on a disk that the controller can see."""

    path: FilePath
    """The folder, absolute and inside an allowed root. The CLI makes a relative one absolute, from where the YAML file lies."""


class GitRef(Model):
    """What to follow in a repository: exactly one of branch, tag and commit."""

    branch: GitName | None = None
    """A branch, followed as it moves."""
    tag: GitName | None = None
    """A tag, followed if it is moved."""
    commit: Commit | None = None
    """A commit that never moves."""


class GitSource(Model):
    """A Git repository. Only committed content is read, from the object database."""

    url: Url
    """https://, ssh://, user@host:path, file:/// or an absolute path. Never a credential."""
    ref: GitRef | None = None
    """What to follow; the remote's HEAD if left out."""
    path: FilePath = ""
    """The folder in the repository to read; its root if left out. Uris are relative to it."""

    @property
    def root(self) -> str:
        """`path` without needless slashes and dots; "" for the repository's root."""
        normal = posixpath.normpath(self.path)
        return "" if normal == "." else normal


class ConfigMapSource(Model):
    """A ConfigMap in the namespace of the source: each key is a document."""

    name: Name
    """Its name."""


class PluginSource(Model):
    """A connector that somebody else wrote, found by its entry point in the group trueup.sources."""

    name: PluginName
    """The entry point's name."""
    settings: Annotated[dict[str, Annotated[str, StringConstraints(max_length=1024)]], Len(0, 32)] = Field(default_factory=dict)
    """What the connector is told. Never a secret: those go in the Secret that secretRef names."""


class SourceSpec(Model):
    """One origin: its type, and exactly the member that the type names."""

    type: Annotated[SourceType, BeforeValidator(_known)]
    """What kind of origin it is."""
    directory: DirectorySource | None = None
    """For type Directory."""
    git: GitSource | None = None
    """For type Git."""
    config_map: ConfigMapSource | None = None
    """For type ConfigMap."""
    plugin: PluginSource | None = None
    """For type Plugin."""
