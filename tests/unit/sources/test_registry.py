"""Opening a source as declared."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from trueup.errors import SourceMisconfigured
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.model.resources.origin import SourceType
from trueup.sources import registry
from trueup.sources.directory import DirectorySource
from trueup.sources.git import GitSource
from trueup.sources.opening import OpenContext, secret
from trueup.testing.source import MemorySource


def opened_by(spec: ContextSourceSpec, context: OpenContext) -> MemorySource:
    """What a plugin's entry point names."""
    assert spec.source.plugin is not None
    return MemorySource({spec.source.plugin.settings["uri"]: b"from a plugin"})


def no_source(_spec: ContextSourceSpec, _context: OpenContext) -> object:
    """What a broken plugin's entry point names."""
    return object()


def declared(**source: object) -> ContextSourceSpec:
    return ContextSourceSpec.model_validate({"source": source})


@pytest.fixture
def context(tmp_path: Path) -> OpenContext:
    return OpenContext(allowed_roots=(tmp_path,), forbidden=(tmp_path / "home",), cache_dir=tmp_path / "cache")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Entry points by name."""
    points: dict[str, list[str]] = {"memory": [f"{__name__}:opened_by"], "broken": [f"{__name__}:no_source"], "twice": [f"{__name__}:opened_by"] * 2}
    monkeypatch.setattr(registry, "entry_points", lambda *, group, name: [EntryPoint(name, value, group) for value in points.get(name, [])])
    return points


def test_built_in_types(context: OpenContext, tmp_path: Path) -> None:
    """Directory and Git open without anything installed beside us."""
    assert isinstance(registry.open_source(declared(type="Directory", directory={"path": str(tmp_path)}), context), DirectorySource)
    assert isinstance(registry.open_source(declared(type="Git", git={"url": "https://git.test/x.git"}), context), GitSource)


@pytest.mark.parametrize("path", ["/", "/etc", "{root}/home", "{root}/home/keys", "{root}/../x"])
@pytest.mark.parametrize("kind", ["Directory", "Git"])
def test_paths_outside_the_roots_are_refused(context: OpenContext, tmp_path: Path, kind: str, path: str) -> None:
    """No declared path, of whatever type, leads out of the allowed roots or into the home (A24)."""
    place = path.format(root=tmp_path)
    member = {"directory": {"path": place}} if kind == "Directory" else {"git": {"url": place}}
    # The resource's own rules refuse ".." before; the check holds without them.
    spec = ContextSourceSpec.model_construct(source=declared(type=kind, **member).source) if ".." not in place else None
    if spec is None:
        with pytest.raises(ValueError, match=r"rules|\.\."):
            declared(type=kind, **member)
        return
    with pytest.raises(SourceMisconfigured):
        registry.open_source(spec, context)


def test_plugins(installed: dict[str, list[str]], context: OpenContext) -> None:
    """A connector of somebody else's is found by its entry point and gets its settings."""
    del installed
    source = registry.open_source(declared(type="Plugin", plugin={"name": "memory", "settings": {"uri": "a.md"}}), context)
    assert isinstance(source, MemorySource)
    assert source.documents == {"a.md": b"from a plugin"}


@pytest.mark.parametrize(("name", "says"), [("absent", "install the package"), ("twice", "more than one"), ("broken", "gave no source")])
def test_plugins_that_cannot_be_opened(installed: dict[str, list[str]], context: OpenContext, name: str, says: str) -> None:
    """Each failure says what to do."""
    del installed
    with pytest.raises(SourceMisconfigured, match=says):
        registry.open_source(declared(type="Plugin", plugin={"name": name}), context)


def test_a_plugin_cannot_pass_for_a_built_in_type(installed: dict[str, list[str]], context: OpenContext, tmp_path: Path) -> None:
    """An installed package does not take over what Directory means."""
    installed["Directory"] = [f"{__name__}:opened_by"]
    assert isinstance(registry.open_source(declared(type=SourceType.DIRECTORY, directory={"path": str(tmp_path)}), context), DirectorySource)


def test_secrets_are_files(tmp_path: Path) -> None:
    """A key's value is its file, less the newline that an editor adds; a key that is not there is none."""
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    assert [secret(tmp_path, key) for key in ("token", "empty", "absent")] == ["s3cret", None, None]
    assert secret(None, "token") is None
    with pytest.raises(SourceMisconfigured) as caught:
        secret(tmp_path, "binary")
    assert str(tmp_path) not in str(caught.value)
