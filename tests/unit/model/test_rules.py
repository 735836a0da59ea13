"""Each cross-field rule is said twice, in CEL and in Python, and both say the same."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import celpy
import pytest

from trueup.model.resources.rules import RULES, Rule

ROUNDS = 150
Sample = dict[str, Any] | str
DURATIONS = ("0s", "0ms", "0.5s", "999ms", "1s", "1.0s", "1h30m", "5m", "87600h", "87600h1s", "99999h", "0h0m0s", "60000ms")
URL_PARTS = (
    *("https://", "http://", "ssh://", "git://", "file://", "file:///", "ext::", "git@", "user:pw@", "-", "/", "//", ":", ":22", "@", "..", "/../", "%2e"),
    *("localhost", "127.0.0.1", "127.0.0.1.evil.example", "[::1]", "169.254.169.254", "h.example", "team/docs.git", "?", "#", "\\", " ", "é"),
)
NAME_PARTS = ("main", "release", "/", "//", "..", ".", "@{", "@", ".lock", "v1", "-", "é")
PATH_PARTS = ("/", "a", "..", ".", "...", "b c", "é", "a..b")


def _joined(chance: random.Random, parts: tuple[str, ...], most: int = 5) -> str:
    return "".join(chance.choice(parts) for _ in range(chance.randint(1, most)))


def _some(chance: random.Random, make: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """An object with each member there or not."""
    return {name: value() for name, value in make.items() if chance.random() < 0.6}


KINDS = ("Directory", "Git", "ConfigMap", "Plugin")
READERS = ("User", "Group", "ServiceAccount", "RBAC", "Everyone")
SAMPLES: dict[str, Callable[[random.Random], Sample]] = {
    "Duration": lambda c: c.choice(DURATIONS),
    "VerifyOnRead": lambda c: c.choice(("Never", "Always", *DURATIONS)),
    "GitName": lambda c: _joined(c, NAME_PARTS),
    "SourceSpec": lambda c: {"type": c.choice(KINDS), **{m: {} for m in ("directory", "git", "configMap", "plugin") if c.random() < 0.3}},
    "DirectorySource": lambda c: {"path": _joined(c, PATH_PARTS)},
    "GitSource": lambda c: {"url": _joined(c, URL_PARTS), "path": _joined(c, PATH_PARTS)},
    "GitRef": lambda c: _some(c, {"branch": lambda: "b", "tag": lambda: "t", "commit": lambda: "c"}),
    "PluginSource": lambda c: {"settings": {c.choice(("", "a", "b" * 63, "c" * 64)): "v" for _ in range(c.randint(0, 2))}},
    "ReaderSpec": lambda c: {"kind": c.choice(READERS), **_some(c, {"name": lambda: "n", "namespace": lambda: "s"})},
    "ContextSourceSpec": lambda c: {"interval": c.choice(DURATIONS), "timeout": c.choice(DURATIONS)},
    "Freshness": lambda c: {"maxStaleness": c.choice(DURATIONS), **_some(c, {"documentTTL": lambda: c.choice(DURATIONS)})},
    "Guard": lambda c: _some(c, {"confirmAfter": lambda: c.choice(DURATIONS)}),
    "Chunking": lambda c: {"maxTokens": c.randint(32, 64), "overlap": c.randint(0, 48)},
}
"""What the schema lets through to the rules about each model or kind of text."""


class _Absent(SimpleNamespace):
    """An object whose missing members are None, as a model's are."""

    def __getattr__(self, _: str) -> None:
        return None


def _snake(name: str) -> str:
    return {"documentTTL": "document_ttl"}.get(name) or "".join("_" + c.lower() if c.isupper() else c for c in name)


def _as_model(sample: Sample) -> Any:
    return sample if isinstance(sample, str) else _Absent(**{_snake(k): v for k, v in sample.items()})


def _as_object(sample: Sample) -> Any:
    """As an API server hands it to CEL, which reserves the word `namespace`."""
    return sample if isinstance(sample, str) else {"__namespace__" if k == "namespace" else k: v for k, v in sample.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.at}.{r.field}: {r.message}")
def test_cel_and_predicate_agree(rule: Rule) -> None:
    """What an API server admits the validator admits, and the reverse; and each rule both admits and refuses something."""
    environment = celpy.Environment()
    program = environment.program(environment.compile(rule.cel))
    chance = random.Random(rule.at)
    seen = set()
    for _ in range(ROUNDS):
        sample = SAMPLES[rule.at](chance)
        admitted = bool(program.evaluate({"self": celpy.json_to_cel(_as_object(sample))}))
        assert rule.holds(_as_model(sample)) == admitted, sample
        seen.add(admitted)
    assert seen == {True, False}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.at}.{r.field}: {r.message}")
def test_a_message_is_one_plain_sentence(rule: Rule) -> None:
    """An API server shows it behind the path, without a line break, at most 2048 characters."""
    assert "\n" not in rule.message
    assert len(rule.message) < 200
    assert not rule.message.endswith(".")
