"""What of a spec decides what."""

from typing import Any

import pytest

from tests.unit.model.manifests import source
from trueup.model.resources import ContextSource, ContextSourceSpec, access_digest, ingest_settings, settings_digest

EVERYONE = {"kind": "Everyone"}
ALICE = {"kind": "User", "name": "alice"}


def _spec(**members: Any) -> ContextSourceSpec:
    return ContextSource.model_validate(source(**members)).spec


@pytest.mark.parametrize(
    "member",
    [
        {"chunking": {"maxTokens": 128}},
        {"chunking": {"overlap": 8}},
        {"screening": {"secrets": "Flag"}},
        {"screening": {"injection": "Off"}},
        {"limits": {"maxDocumentBytes": "1Mi"}},
        {"conflictKey": {"frontMatter": "id"}},
    ],
    ids=str,
)
def test_what_decides_ingest_changes_its_digest(member: dict[str, Any]) -> None:
    """Or documents would keep chunks that the declaration no longer asks for."""
    assert settings_digest(_spec(**member)) != settings_digest(_spec())


@pytest.mark.parametrize(
    "member",
    [{"interval": "9m"}, {"access": {"readers": [EVERYONE]}}, {"suspend": True}, {"include": ["a"]}, {"limits": {"maxDocumentBytes": 16 << 20}}],
    ids=str,
)
def test_what_does_not_decide_ingest_re_embeds_nothing(member: dict[str, Any]) -> None:
    """The cost follows the change."""
    assert settings_digest(_spec(**member)) == settings_digest(_spec())


def test_ingest_gets_plain_settings() -> None:
    """Ingest imports no resource."""
    settings = ingest_settings(_spec(conflictKey={"frontMatter": "id"}, limits={"maxDocumentBytes": "1k"}))
    assert (settings.max_tokens, settings.overlap, settings.max_document_bytes) == (256, 0, 1000)
    assert (settings.secrets, settings.injection, settings.conflict_front_matter) == ("Quarantine", "Flag", "id")


def test_access_digest_follows_meaning() -> None:
    """The order of readers is nothing; the order of rules, and nobody against inherited, is."""
    same = access_digest(_spec(access={"readers": [EVERYONE, ALICE]}))
    assert access_digest(_spec(access={"readers": [ALICE, EVERYONE, ALICE]})) == same
    a, b = {"paths": ["a"], "readers": []}, {"paths": ["b"], "readers": [ALICE]}
    different = [
        {"readers": [EVERYONE]},
        {"readers": [EVERYONE, ALICE], "classification": "Public"},
        {"readers": [EVERYONE, ALICE], "rules": [a, b]},
        {"readers": [EVERYONE, ALICE], "rules": [b, a]},
        {"readers": [EVERYONE, ALICE], "rules": [{"paths": ["a"]}, b]},
    ]
    digests = {same, *(access_digest(_spec(access=access)) for access in different)}
    assert len(digests) == len(different) + 1
