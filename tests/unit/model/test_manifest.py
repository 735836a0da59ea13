"""Manifests are read strictly: what is wrong is named by its path, and nothing is guessed."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.unit.model.manifests import git, source
from trueup.errors import Invalid
from trueup.model.principal import Classification, Reader, ReaderKind
from trueup.model.resources import ContextIndex, ContextSource, Mode, OnStale, make_absolute, parse_manifest, parse_stored
from trueup.model.resources.fields import octets


def _refusal(manifest: Any) -> str:
    with pytest.raises(Invalid) as refused:
        parse_manifest(manifest)
    return str(refused.value)


def test_the_defaults_are_those_of_the_design() -> None:
    """A source that says nothing is lenient in nothing: nobody reads, an hour's lease, deletions guarded."""
    resource = parse_manifest(source())
    assert isinstance(resource, ContextSource)
    assert resource.metadata.key == "default/docs"
    assert resource.index_key() == "default/default"
    assert resource.status.observed_generation == -1
    assert resource.spec.dump() == {
        "source": {"type": "Directory", "directory": {"path": "/srv/docs"}},
        "include": [],
        "exclude": [],
        "interval": "5m",
        "timeout": "60s",
        "freshness": {"maxStaleness": "1h", "onStale": "Withhold", "verifyOnRead": "Never"},
        "deletion": {"policy": "Delete", "retention": "24h", "guard": {"maxPercent": 30, "minDocuments": 10, "allowEmpty": False}},
        "access": {"readers": [], "classification": "Internal", "rules": []},
        "screening": {"injection": "Flag", "secrets": "Quarantine"},
        "trust": "Untrusted",
        "chunking": {"maxTokens": 256, "overlap": 0},
        "limits": {"maxDocumentBytes": "16Mi"},
        "suspend": False,
    }


def test_spans_and_sizes_come_in_seconds_and_bytes() -> None:
    """Nobody but the model parses a duration or a quantity."""
    spec = ContextSource.model_validate(
        source(
            interval="1m30s",
            timeout="500ms",
            freshness={"maxStaleness": "2s", "documentTTL": "1h", "verifyOnRead": "30s", "onStale": "Flag"},
            deletion={"retention": "0s", "guard": {"confirmAfter": "1.5h"}},
            limits={"maxDocumentBytes": 2048},
        )
    ).spec
    assert (spec.interval_seconds, spec.timeout_seconds) == (90.0, 0.5)
    assert (spec.freshness.max_staleness_seconds, spec.freshness.document_ttl_seconds, spec.freshness.verify_after_seconds) == (2.0, 3600.0, 30.0)
    assert spec.freshness.on_stale is OnStale.FLAG
    assert (spec.deletion.retention_seconds, spec.deletion.guard.confirm_after_seconds) == (0.0, 5400.0)
    assert spec.limits.max_bytes == 2048


@pytest.mark.parametrize(("word", "after"), [("Never", None), ("Always", 0.0), ("5s", 5.0)])
def test_verify_on_read_is_never_always_or_an_age(word: str, after: float | None) -> None:
    """The one member that is a word or a duration comes out as an age in seconds."""
    resource = parse_manifest(source(freshness={"verifyOnRead": word}))
    assert isinstance(resource, ContextSource)
    assert resource.spec.freshness.verify_after_seconds == after


@pytest.mark.parametrize(("expected", "text"), [(1, 1), (1000, "1k"), (16 << 20, "16Mi"), (1 << 30, "1Gi"), (5, "5")])
def test_quantities_are_kubernetes_quantities(expected: int, text: int | str) -> None:
    """16Mi is 16 × 2²⁰, 1k is a thousand."""
    assert octets(text) == expected


@pytest.mark.parametrize("text", [0, -1, True, "0", "2Gi", "1.5Mi", "16MiB", "", "1 Mi", "16Mi\n", (1 << 30) + 1])
def test_other_quantities_are_refused(text: int | str) -> None:
    """Nothing is clamped, rounded or guessed."""
    with pytest.raises(ValueError, match="must be bytes"):
        octets(text)


CASES = [
    pytest.param(git(urll="x"), "spec.source.git.urll: unknown field (did you mean url?)", id="unknown field with its path"),
    pytest.param(source(acess={}), "spec.acess: unknown field (did you mean access?)", id="unknown member of the spec"),
    pytest.param(source(max_staleness="1h"), "spec.max_staleness: unknown field", id="snake case is not the API's"),
    pytest.param(source(freshness={"max_staleness": "1h"}), "spec.freshness.max_staleness: unknown field (did you mean maxStaleness?)", id="snake case inside"),
    pytest.param(
        source(access={"rules": [{"paths": ["a"], "reader": []}]}), "spec.access.rules[0].reader: unknown field (did you mean readers?)", id="inside a list"
    ),
    pytest.param(source(interval=5), "spec.interval: must be text: quote it", id="number for a duration"),
    pytest.param(source(interval="5"), "spec.interval: must be a duration such as 30s, 5m or 1h30m", id="no unit"),
    pytest.param(source(interval="999ms"), "spec.interval: must be at least 1s", id="interval too short"),
    pytest.param(source(interval="5m\n"), "spec.interval: must be a duration", id="line break after a duration"),
    pytest.param(source(timeout="0s"), "spec.timeout: must be more than 0s", id="no time at all"),
    pytest.param(source(freshness={"maxStaleness": "99999h"}), "spec.freshness.maxStaleness: must be at most 87600h", id="duration beyond reason"),
    pytest.param(source(trust="trusted"), "spec.trust: must be one of Trusted, Untrusted", id="enum in the wrong case"),
    pytest.param(source(suspend="false"), "spec.suspend: must be true or false", id="text for a boolean"),
    pytest.param(source(chunking={"maxTokens": "256"}), "spec.chunking.maxTokens: must be a whole number", id="text for a number"),
    pytest.param(source(chunking={"maxTokens": True}), "spec.chunking.maxTokens: must be a whole number", id="boolean for a number"),
    pytest.param(source(chunking={"maxTokens": 64, "overlap": 40}), "spec.chunking.overlap: must be at most half of maxTokens", id="overlap too large"),
    pytest.param(source(deletion={"guard": {"maxPercent": 101}}), "spec.deletion.guard.maxPercent: must be at most 100", id="more than all"),
    pytest.param(source(include="docs/**"), "spec.include: must be a list", id="one for a list"),
    pytest.param(source(include=["#x"]), "spec.include[0]: must be a gitignore pattern", id="a comment is no pattern"),
    pytest.param(source(include=["[a"]), "spec.include[0]: must be a gitignore pattern", id="open bracket"),
    pytest.param(source(include=["a"] * 129), "spec.include: must have at most 128 entries", id="too many"),
    pytest.param(source(exclude=None), "spec.exclude: has no value", id="nothing is not an empty list"),
    pytest.param(source(access={"readers": None}), "spec.access.readers: has no value", id="nobody must be said"),
    pytest.param(source(access={"rules": [{"paths": ["a"], "readers": None}]}), "spec.access.rules[0].readers: has no value", id="neither inherit nor nobody"),
    pytest.param(source(access={"rules": [{"paths": []}]}), "spec.access.rules[0].paths: must not be empty", id="a rule about nothing"),
    pytest.param(source(access={"readers": [{"kind": "User", "name": ""}]}), "spec.access.readers[0].name: must not be empty", id="empty name"),
    pytest.param(source(access={"readers": [{"kind": "User"}]}), "spec.access.readers[0].name: is given for User, Group and ServiceAccount", id="no name"),
    pytest.param(source(access={"readers": [{"kind": "Everyone", "name": "x"}]}), "spec.access.readers[0].name: is given for", id="Everyone has no name"),
    pytest.param(source(access={"readers": [{"kind": "RBAC", "name": "x"}]}), "spec.access.readers[0].name: is given for", id="RBAC has no name"),
    pytest.param(source(access={"readers": [{"kind": "Team", "name": "x"}]}), "spec.access.readers[0].kind: must be one of User, Group", id="unknown kind"),
    pytest.param(source(access={"readers": [{"kind": "ServiceAccount", "name": "x"}]}), "namespace: is given for a ServiceAccount", id="no namespace"),
    pytest.param(
        source(access={"readers": [{"kind": "Group", "name": "x", "namespace": "y"}]}), "namespace: is given for a ServiceAccount", id="groups have none"
    ),
    pytest.param(source(source={"type": "Git"}), "spec.source.git: git is given when type is Git, and only then", id="member missing"),
    pytest.param(
        source(source={"type": "Directory", "directory": {"path": "/a"}, "plugin": {"name": "x"}}),
        "spec.source.plugin: plugin is given when type is Plugin",
        id="two members",
    ),
    pytest.param(source(source={"type": "Web"}), "spec.source.type: this version cannot read Web sources; it reads Directory, Git", id="not yet"),
    pytest.param(source(source={"type": "Directory", "directory": {"path": "docs"}}), "spec.source.directory.path: must be absolute", id="relative"),
    pytest.param(source(source={"type": "Directory", "directory": {"path": "/a/../b"}}), "path: must not hold .. segments", id="dots"),
    pytest.param(source(source={"type": "Directory", "directory": {"path": "/a\0b"}}), "path: must not hold control characters", id="NUL"),
    pytest.param(git(ref={}), "spec.source.git.ref: give exactly one of branch, tag and commit", id="no ref"),
    pytest.param(git(ref={"branch": "a", "tag": "b"}), "spec.source.git.ref: give exactly one of branch, tag and commit", id="two refs"),
    pytest.param(git(ref={"branch": "--upload-pack=x"}), "spec.source.git.ref.branch: must be a git branch", id="option as a branch"),
    pytest.param(git(ref={"branch": "a..b"}), "spec.source.git.ref.branch: must be a branch or tag name", id="range as a branch"),
    pytest.param(git(ref={"commit": "abc"}), "spec.source.git.ref.commit: must ", id="short commit"),
    pytest.param(git(path="../x"), "spec.source.git.path: must be relative", id="path out of the repository"),
    pytest.param(source(secretRef={"name": "a", "namespace": "b"}), "spec.secretRef.namespace: unknown field", id="references stay in the namespace"),
    pytest.param({**source(), "metadata": {"name": "Docs"}}, "metadata.name: must be lower-case", id="name"),
    pytest.param({**source(), "metadata": {}}, "metadata.name: is required", id="no name of the object"),
    pytest.param({**source(), "metadata": {"name": "a", "namespace": "a.b"}}, "metadata.namespace: must be lower-case", id="namespace"),
    pytest.param(
        {**source(), "metadata": {"name": "a", "annotation": {}}}, "metadata.annotation: unknown field (did you mean annotations?)", id="metadata is strict"
    ),
    pytest.param({**source(), "metadata": {"name": "a", "labels": {"a b": "c"}}}, "metadata.labels: keys and values must be", id="label"),
    pytest.param({**source(), "spec": {}}, "spec.source: is required", id="empty spec"),
    pytest.param({**source(), "kind": "Pod"}, "kind: must be ContextSource or ContextIndex", id="kind"),
    pytest.param({**source(), "apiVersion": "trueup.dev/v1"}, "apiVersion: must be trueup.dev/v1alpha1", id="version"),
    pytest.param({**source(), "specs": {}}, "specs: unknown field (did you mean spec?)", id="top level"),
    pytest.param([], "must be a mapping", id="a list"),
]


@pytest.mark.parametrize(("manifest", "told"), CASES)
def test_what_is_wrong_is_named_by_its_path(manifest: Any, told: str) -> None:
    """One sentence, the path of the field, what is wrong and so what to do."""
    assert told in _refusal(manifest)


def test_every_problem_is_told_at_once() -> None:
    """Nobody has to apply five times to learn five things."""
    told = _refusal(source(interval=5, trust="x", foo=1, access={"readers": [{"kind": "User"}]}))
    assert all(part in told for part in ("spec.interval:", "spec.trust:", "spec.foo:", "spec.access.readers[0].name:"))
    assert told.endswith(".")


def test_values_are_never_repeated() -> None:
    """What was put into the wrong field may be a secret, and the message goes to logs and status."""
    told = _refusal(source(source={"type": "Git", "git": {"url": "https://bob:canary-7f3@git.example.org/x"}}, trust="canary-7f3", interval="canary-7f3"))
    assert "canary-7f3" not in told
    assert "spec.source.git.url: must not hold credentials" in told


def test_a_strange_field_name_cannot_speak_in_the_message() -> None:
    """Field names come from strangers too: no control characters, no novels."""
    told = _refusal(source(**{"a\x1b[31m\nb" + "x" * 500: 1}))
    assert "\x1b" not in told
    assert "\n" not in told
    assert len(told) < 300


def test_broken_unicode_is_refused_and_does_not_crash() -> None:
    """A lone surrogate is text to JSON and to nobody else."""
    assert "spec.access.readers[0].name" in _refusal(source(access={"readers": [{"kind": "User", "name": "\ud800"}]}))


URLS = [
    ("git://h/x", "nothing else is fetched"),
    ("ext::sh -c touch% /tmp/x", "nothing else is fetched"),
    ("--upload-pack=touch /tmp/x", "nothing else is fetched"),
    ("ftp://h/x", "nothing else is fetched"),
    ("HTTPS://h/x", "nothing else is fetched"),
    ("docs.git", "nothing else is fetched"),
    ("file://h/x", "nothing else is fetched"),
    ("http://git.example.org/x", "plain http:// only to this machine itself"),
    ("http://127.0.0.1.evil.example/x", "plain http:// only to this machine itself"),
    ("http://localhost@evil.example/x", "plain http:// only to this machine itself"),
    ("https://token@h/x", "must not hold credentials"),
    ("ssh://git:pw@h/x", "must not hold credentials"),
    ("ssh://-oProxyCommand=x/y", "neither beginning with a dash"),
    ("ssh://git@-oProxyCommand=x/y", "neither beginning with a dash"),
    ("ssh://h/-x", "neither beginning with a dash"),
    ("https://h", "must name a host and a path"),
    ("https://h/x?access_token=1", "must not hold a query"),
    ("https://h\\@evil.example/x", "must "),
    ("git@h:-x", "or an option"),
    ("git@h::x", "nothing else is fetched"),
    ("/srv/../etc", "must not hold .. segments"),
    ("file:///srv/%2e%2e/etc", "percent signs"),
    ("/srv/\0x", "control characters"),
]


@pytest.mark.parametrize(("url", "told"), URLS)
def test_urls_that_git_would_misunderstand_are_refused(url: str, told: str) -> None:
    """Helpers that run commands, options, credentials and plain text over a network: refused at admission."""
    refusal = _refusal(git(url=url))
    assert "spec.source.git.url: " in refusal
    assert told in refusal


@pytest.mark.parametrize(
    "url",
    [
        "https://h/x.git",
        "https://h:8443/a/b",
        "ssh://git@h/x",
        "ssh://h:22/x",
        "git@h.example:team/x.git",
        "git@h:/x",
        "file:///srv/x",
        "/srv/x y",
        "http://127.0.0.1:8080/x",
        "http://[::1]:80/x",
    ],
)
def test_urls_that_people_use_are_taken(url: str) -> None:
    """The refusals above cost nobody an honest URL."""
    resource = parse_manifest(git(url=url))
    assert isinstance(resource, ContextSource)
    assert resource.spec.source.git is not None
    assert resource.spec.source.git.url == url


def test_readers_of_a_rule_are_inherited_only_where_absent() -> None:
    """`readers: []` is nobody; a rule that says nothing of readers leaves the source's."""
    resource = parse_manifest(
        source(access={"readers": [{"kind": "Everyone"}], "rules": [{"paths": ["a"], "readers": []}, {"paths": ["b"], "classification": "Restricted"}]})
    )
    assert isinstance(resource, ContextSource)
    first, second = resource.spec.access.rules
    assert (first.readers, second.readers) == ((), None)
    assert (first.classification, second.classification) == (None, Classification.RESTRICTED)
    assert resource.spec.access.readers[0].reader == Reader(ReaderKind.EVERYONE)


def test_what_get_prints_can_be_applied_again() -> None:
    """Status and what an API server adds to metadata come along with `get -o yaml` and are not the applier's."""
    stored = {
        **source(),
        "metadata": {
            "name": "docs",
            "namespace": "default",
            "uid": "u",
            "generation": 3,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-21T14:30:00Z",
            "managedFields": [{"manager": "kubectl"}],
            "finalizers": ["trueup.dev/finalizer"],
        },
        "status": {"observedGeneration": 3, "somethingNewer": {}},
    }
    resource = parse_manifest(stored)
    assert (resource.metadata.uid, resource.metadata.resource_version, resource.status.observed_generation) == ("u", "7", -1)


def test_a_stored_object_keeps_its_status() -> None:
    """What the catalog or the API server has is read whole."""
    resource = parse_stored({**source(), "status": {"observedGeneration": 4, "documents": {"live": 2}}})
    assert isinstance(resource, ContextSource)
    assert resource.status.observed_generation == 4
    assert resource.status.documents is not None
    assert resource.status.documents.live == 2


def test_an_index_may_leave_everything_to_its_defaults() -> None:
    """A ContextIndex without a spec is the hybrid one."""
    resource = parse_manifest({"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"name": "default"}})
    assert isinstance(resource, ContextIndex)
    assert resource.spec.dump() == {"embedding": {"provider": "Local"}, "mode": "Hybrid"}
    assert resource.spec.mode is Mode.HYBRID


@pytest.mark.parametrize(
    ("expected", "member", "given"),
    [
        ("/work/docs", {"directory": {"path": "docs"}}, "directory"),
        ("/docs", {"directory": {"path": "../docs"}}, "directory"),
        ("/home/al/docs", {"directory": {"path": "~/docs"}}, "directory"),
        ("/srv/docs", {"directory": {"path": "/srv/docs"}}, "directory"),
        ("/work/repo.git", {"git": {"url": "./repo.git"}}, "git"),
        ("git@h:x", {"git": {"url": "git@h:x"}}, "git"),
        ("ext::sh", {"git": {"url": "ext::sh"}}, "git"),
        ("-x", {"git": {"url": "-x"}}, "git"),
    ],
)
def test_relative_paths_are_taken_from_the_manifest(expected: str, member: dict[str, Any], given: str) -> None:
    """The CLI makes paths absolute before anybody validates them; what is no path is left to be refused."""
    made = make_absolute(source(source={"type": "Any", **member}), PurePosixPath("/work"), PurePosixPath("/home/al"))
    held = made["spec"]["source"][given]
    assert held.get("path", held.get("url")) == expected
