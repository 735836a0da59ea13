"""The contract pages of the resources say everything that the models and the controller have."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from trueup.decide import conditions
from trueup.model.crd import KINDS, Kind, render_crds
from trueup.model.resources import parse_manifest

ROOT = Path(__file__).parents[3]
HEADINGS = ["Example", "Spec", "Status", "Conditions", "Events", "Annotations"]


def _page(kind: Kind) -> str:
    return (ROOT / "docs" / "resources" / f"{kind.name.lower()}.md").read_text("utf-8")


def _section(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def _names(schema: dict[str, Any]) -> Iterator[str]:
    for name, member in schema.get("properties", {}).items():
        yield name
        yield from _names(member)
        yield from _names(member.get("items", {}))


def _schema(kind: Kind, part: str) -> dict[str, Any]:
    made = yaml.safe_load(render_crds()[f"trueup.dev_{kind.plural}.yaml"])
    return made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_every_page_has_the_same_headings(kind: Kind) -> None:
    """Who knows one page finds their way in the next."""
    assert re.findall(r"^## (.+)$", _page(kind), re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("part", ["spec", "status"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_every_field_is_on_the_page(kind: Kind, part: str) -> None:
    """A new field without a line here is seen."""
    said = set(re.findall(r"[A-Za-z]+", _section(_page(kind), part.capitalize())))
    inside_conditions = {"lastTransitionTime", "type", "status", "reason", "message"} if part == "status" else set()
    assert set(_names(_schema(kind, part))) - inside_conditions - said == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_the_example_is_valid(kind: Kind) -> None:
    """What is copied from the page can be applied."""
    example = re.sub(r"^    ", "", _section(_page(kind), "Example").split("\nMore", 1)[0], flags=re.MULTILINE)
    assert parse_manifest(yaml.safe_load(example)).kind == kind.name


def test_every_condition_of_a_source_is_on_the_page() -> None:
    """Each (type, status, reason) that the summarizer writes by name; and each type it owns."""
    table = _section(_page(KINDS[0]), "Conditions")
    rows = set(re.findall(r"^\| `(\w+)` \| (\w+) \| `(\w+)` \|", table, re.MULTILINE))
    written = set(re.findall(r'Finding\("(\w+)", "(\w+)", "(\w+)"', Path(conditions.__file__).read_text("utf-8")))
    assert written
    assert written - rows == set()
    assert {type_ for type_, _, _ in rows} == {*conditions.ALWAYS, *conditions.WHILE_TRUE}
