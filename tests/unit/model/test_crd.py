"""The CRDs are what the models make, structural, bounded, and agree with the validator on defaults."""

import copy
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.unit.model.manifests import git, source
from trueup.model import crd
from trueup.model.crd import KINDS, drift, main, render_crds
from trueup.model.resources import load_yaml, make_absolute, parse_manifest, parse_stored
from trueup.model.resources.fields import Model
from trueup.model.resources.rules import RULES
from trueup.model.structural import object_schema

ROOT = Path(__file__).parents[3]
BANNED = ("$ref", "$defs", "discriminator", "oneOf", "allOf", "exclusiveMinimum", "exclusiveMaximum", "title", "const")


def _schema(name: str) -> dict[str, Any]:
    made = yaml.safe_load(render_crds()[f"trueup.dev_{name}.yaml"])
    return made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def _walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from _walk(member, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from _walk(schema[inner], f"{path}[]")


def _everywhere() -> list[Any]:
    return [
        pytest.param(schema, id=f"{kind.name}{path}")
        for kind in KINDS
        for path, schema in _walk(_schema(kind.plural))
        if path not in {".apiVersion", ".kind", ".metadata"}
    ]


def test_the_committed_crds_are_what_the_models_make() -> None:
    """A changed model without `python -m trueup.model.crd --write crds` is seen here."""
    assert drift(ROOT / "crds") == []


def test_drift_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed, a missing and a leftover file each count."""
    assert main(["--write", str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    changed, missing = sorted(render_crds())
    (tmp_path / changed).write_text("x")
    (tmp_path / missing).unlink()
    (tmp_path / "old.yaml").write_text("")
    assert drift(tmp_path) == sorted([changed, missing, "old.yaml"])
    assert main(["--check", str(tmp_path)]) == 1
    assert "--write" in capsys.readouterr().err


@pytest.mark.parametrize("schema", _everywhere())
def test_every_part_is_structural_and_bounded(schema: dict[str, Any]) -> None:
    """One type everywhere, and a maximum on every text, list and map, or CEL is refused for its cost."""
    assert not set(BANNED) & schema.keys()
    if schema.get("x-kubernetes-int-or-string"):
        assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        return
    assert "anyOf" not in schema
    kind = schema["type"]
    assert kind in {"object", "string", "integer", "boolean", "array"}
    if kind == "string":
        assert "maxLength" in schema or "enum" in schema
    if kind == "array":
        assert "maxItems" in schema
    if "additionalProperties" in schema:
        assert "maxProperties" in schema


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_every_field_is_described(kind: crd.Kind) -> None:
    """`kubectl explain` has a sentence for each."""
    silent = [
        path for path, schema in _walk(_schema(kind.plural)) if path.startswith((".spec", ".status")) and "[]" not in path and "description" not in schema
    ]
    assert silent == []


def test_every_rule_is_published() -> None:
    """A rule that only the validator knew would let a cluster store what the controller then refuses."""
    published = {rule["rule"] for kind in KINDS for _, schema in _walk(_schema(kind.plural)) for rule in schema.get("x-kubernetes-validations", [])}
    assert published == {rule.cel for rule in RULES}


def test_references_to_the_namespace_are_escaped_in_cel() -> None:
    """`namespace` is a reserved word of CEL: unescaped, the API server refuses the whole CRD."""
    assert not any("self.namespace" in rule.cel for rule in RULES)


def _filled(value: Any, schema: dict[str, Any]) -> Any:
    """Defaulting as an API server does it: a missing member gets its default, then its own members theirs."""
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if name not in value and "default" in member:
                value[name] = copy.deepcopy(member["default"])
            if name in value:
                value[name] = _filled(value[name], member)
    if isinstance(value, list):
        return [_filled(item, schema["items"]) for item in value]
    return value


MANIFESTS = [
    pytest.param(source(), id="directory"),
    pytest.param(git(ref={"branch": "main"}), id="git"),
    pytest.param(source(source={"type": "Plugin", "plugin": {"name": "x"}}), id="plugin"),
    pytest.param(source(deletion={"guard": {"allowEmpty": True}}, access={"rules": [{"paths": ["a"], "readers": []}]}), id="partly said"),
    pytest.param({"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"name": "default"}, "spec": {}}, id="index"),
]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_both_sides_fill_in_the_same_defaults(manifest: dict[str, Any]) -> None:
    """An object means the same whether an API server stored it or we did."""
    plural = {kind.name: kind.plural for kind in KINDS}[manifest["kind"]]
    filled = _filled(copy.deepcopy(manifest), _schema(plural))
    ours = parse_manifest(manifest).dump()
    assert filled["spec"] == ours["spec"]
    assert filled["status"] == ours["status"]
    assert parse_stored(filled).dump()["spec"] == ours["spec"]


def test_printer_columns_are_those_of_the_design() -> None:
    """`kubectl get` shows what `trueup get` shows."""
    made = yaml.safe_load(render_crds()["trueup.dev_contextsources.yaml"])["spec"]
    columns = made["versions"][0]["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == ["Type", "Ready", "Fresh", "Docs", "Tombstones", "Status", "Age"]
    assert [c["name"] for c in columns if c.get("priority")] == ["Revision", "Chunks", "Index"]
    assert made["names"]["shortNames"] == ["ctxsrc"]
    assert made["names"]["categories"] == ["trueup"]
    assert made["versions"][0]["subresources"] == {"status": {}}


def test_a_type_without_a_structural_schema_is_refused_when_it_is_made() -> None:
    """A loose schema would be found out by an API server, or by nobody."""

    class Loose(Model):
        """A model with a union."""

        either: int | str

    with pytest.raises(TypeError, match="no structural schema"):
        object_schema(Loose)


@pytest.mark.parametrize("path", sorted((ROOT / "manifests" / "samples").glob("*.yaml")), ids=lambda p: p.name)
def test_samples_are_valid_and_readable_by_everyone(path: Path) -> None:
    """What a newcomer applies first works, and answers."""
    ours = [m for m in load_yaml(path.read_text("utf-8")) if m["apiVersion"].startswith("trueup.dev/")]
    assert ours
    for manifest in ours:
        resource = parse_manifest(make_absolute(manifest, PurePosixPath("/work")))
        if resource.kind == "ContextSource":
            assert [reader.kind.value for reader in resource.spec.access.readers] == ["Everyone"]
