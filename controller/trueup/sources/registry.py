"""The source types there are, and the opening of one as declared."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from trueup.errors import SourceMisconfigured
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.model.resources.origin import SourceType
from trueup.ports import Source
from trueup.sources.opening import OpenContext

GROUP = "trueup.sources"
"""The entry points' group by which connectors of others are found: a name, and a factory like `open_source` here."""

BUILT_IN = {
    SourceType.DIRECTORY: "trueup.sources.directory:open_source",
    SourceType.GIT: "trueup.sources.git:open_source",
    SourceType.CONFIG_MAP: "trueup.sources.configmap:open_source",
}
"""Factories by type, by name so that a connector's client library is loaded when a source first needs it."""


def open_source(spec: ContextSourceSpec, context: OpenContext) -> Source:
    """The connector for a declared source. Nothing is read yet.

    Raises:
        SourceMisconfigured: there is no such connector, or the source may not be read as declared.
    """
    factory = _factory(spec).load()
    source = factory(spec, context)
    if not isinstance(source, Source):
        raise SourceMisconfigured(why=f"what opens sources of type {spec.source.type} gave no source; correct or remove that connector")
    return source


def _factory(spec: ContextSourceSpec) -> EntryPoint:
    kind = spec.source.type
    if kind in BUILT_IN:
        return EntryPoint(name=kind, value=BUILT_IN[kind], group=GROUP)
    if kind is not SourceType.PLUGIN or spec.source.plugin is None:
        raise SourceMisconfigured(why=f"sources of type {kind} cannot be read by this installation")
    found = list(entry_points(group=GROUP, name=spec.source.plugin.name))
    if not found:
        raise SourceMisconfigured(why=f"no connector named {spec.source.plugin.name} is installed; install the package that has it")
    if len(found) > 1:
        raise SourceMisconfigured(why=f"more than one installed package has a connector named {spec.source.plugin.name}; remove all but one")
    return found[0]
