"""The cross-field rules of the resources, once: CEL for the schema, a predicate for the validator.

A row says the same twice, and tests hold both sides to one verdict. `at` is the model (or the kind of text) the rule is
about; `self` in CEL is an object of it. In CEL, `namespace` is a reserved word and reads `__namespace__`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trueup.model.times import duration

LONGEST = "87600h"
"""Ten years: beyond it a duration is a slip of the hand, and Go's own limit is not far."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        at: the model or kind of text it is about.
        cel: the expression that must be true, over what the API server has.
        message: one plain sentence: what must hold.
        holds: the same over what the validator has.
        field: the member to blame, as YAML names it; "" for the whole.
    """

    at: str
    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""


MEMBERS = {"Directory": "directory", "Git": "git", "ConfigMap": "configMap", "Plugin": "plugin"}
"""The kinds of source that this version reads, and the member that each one uses."""
UNREAD = ("Web", "Bucket", "Table")
"""Declared kinds that this version cannot read."""

_PARENT = r"(^|/)\.\.(/|$)"
_SCHEME = r"^(https://|http://|ssh://|file:///|/|[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:])"
_LOOPBACK = r"^http://(localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])(:[0-9]{1,5})?/"
_CREDENTIAL = r"^(https?://[^/]*@|ssh://[^/@]*:[^/]*@|ssh://[^/@]*@[^/]*@|file://[^/])"
_HOST = r"^(https?|ssh)://([A-Za-z0-9_][A-Za-z0-9._-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/[^-/]"
_REMOTE = r"^(https?://|ssh://|[^/]+@)"
_ODD = r"[?#\\\s]"
_GIT_ODD = r"(\.\.|//|@\{|/\.|\.lock$|\.lock/|/$|\.$|^\.)"


def _remote(url: str) -> bool:
    return re.search(_REMOTE, url) is not None


def _finds(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.search(text) is not None


def _member(kind: str, name: str) -> Rule:
    attribute = re.sub(r"[A-Z]", lambda m: "_" + m.group().lower(), name)
    return Rule(
        "SourceSpec",
        f"self.type == '{kind}' ? has(self.{name}) : !has(self.{name})",
        f"{name} is given when type is {kind}, and only then",
        lambda s: (s.type == kind) == (getattr(s, attribute) is not None),
        name,
    )


def _longer_than(at: str, field: str, bound: str, *, or_equal: bool) -> Rule:
    sign, word = (">=", "at least") if or_equal else (">", "more than")
    attribute = re.sub(r"[A-Z]+", lambda m: "_" + m.group().lower(), field)
    least = duration(bound)

    def holds(value: Any) -> bool:
        given = getattr(value, attribute)
        return given is None or (duration(given) >= least if or_equal else duration(given) > least)

    return Rule(at, f"!has(self.{field}) || duration(self.{field}) {sign} duration('{bound}')", f"must be {word} {bound}", holds, field)


def _verify_within(value: str) -> bool:
    return value in {"Never", "Always"} or duration(value) <= duration(LONGEST)


def _exactly_one(ref: Any) -> bool:
    return sum(x is not None for x in (ref.branch, ref.tag, ref.commit)) == 1


RULES: tuple[Rule, ...] = (
    Rule("Duration", f"duration(self) <= duration('{LONGEST}')", f"must be at most {LONGEST}", lambda d: duration(d) <= duration(LONGEST)),
    Rule("VerifyOnRead", f"self in ['Never', 'Always'] || duration(self) <= duration('{LONGEST}')", f"must be at most {LONGEST}", _verify_within),
    Rule("GitName", f"!self.matches(r'{_GIT_ODD}')", "must be a branch or tag name that git accepts", lambda n: not _finds(_GIT_ODD)(n)),
    *(_member(kind, name) for kind, name in MEMBERS.items()),
    Rule("DirectorySource", "self.path.startsWith('/')", "must be absolute", lambda s: s.path.startswith("/"), "path"),
    Rule("DirectorySource", f"!self.path.matches(r'{_PARENT}')", "must not hold .. segments", lambda s: not _finds(_PARENT)(s.path), "path"),
    Rule(
        "GitSource",
        f"self.url.matches(r'{_SCHEME}')",
        "must be https://, ssh://, user@host:path, file:/// or an absolute path; nothing else is fetched",
        lambda s: _finds(_SCHEME)(s.url),
        "url",
    ),
    Rule(
        "GitSource",
        f"!self.url.startsWith('http://') || self.url.matches(r'{_LOOPBACK}')",
        "must be https:// (plain http:// only to this machine itself)",
        lambda s: not s.url.startswith("http://") or _finds(_LOOPBACK)(s.url),
        "url",
    ),
    Rule(
        "GitSource",
        f"!self.url.matches(r'{_CREDENTIAL}')",
        "must not hold credentials: put them in the Secret that secretRef names",
        lambda s: not _finds(_CREDENTIAL)(s.url),
        "url",
    ),
    Rule(
        "GitSource",
        f"!self.url.matches(r'^(https?|ssh)://') || self.url.matches(r'{_HOST}')",
        "must name a host and a path, neither beginning with a dash",
        lambda s: not _finds(r"^(https?|ssh)://")(s.url) or _finds(_HOST)(s.url),
        "url",
    ),
    Rule(
        "GitSource",
        f"!self.url.matches(r'{_REMOTE}') || !self.url.matches(r'({_ODD}|^[^/]+@[^/]+:-)')",
        "must not hold a query, a fragment, backslashes, spaces or an option",
        lambda s: not _remote(s.url) or not _finds(rf"({_ODD}|^[^/]+@[^/]+:-)")(s.url),
        "url",
    ),
    Rule(
        "GitSource",
        f"!self.url.matches(r'^(file://|/)') || !self.url.matches(r'({_PARENT}|^file://.*%)')",
        "must not hold .. segments, nor percent signs after file:// (write the path itself)",
        lambda s: not _finds(r"^(file://|/)")(s.url) or not _finds(rf"({_PARENT}|^file://.*%)")(s.url),
        "url",
    ),
    Rule(
        "GitSource",
        f"!has(self.path) || !self.path.matches(r'(^/|{_PARENT})')",
        "must be relative to the repository's root, without .. segments",
        lambda s: not _finds(rf"(^/|{_PARENT})")(s.path),
        "path",
    ),
    Rule(
        "GitRef",
        "(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.commit) ? 1 : 0) == 1",
        "give exactly one of branch, tag and commit",
        _exactly_one,
    ),
    Rule(
        "PluginSource",
        "!has(self.settings) || self.settings.all(k, size(k) >= 1 && size(k) <= 63)",
        "keys must have 1 to 63 characters",
        lambda s: all(1 <= len(k) <= 63 for k in s.settings),
        "settings",
    ),
    Rule(
        "ReaderSpec",
        "self.kind in ['User', 'Group', 'ServiceAccount'] ? has(self.name) : !has(self.name)",
        "is given for User, Group and ServiceAccount, and only for those",
        lambda r: (r.kind in {"User", "Group", "ServiceAccount"}) == (r.name is not None),
        "name",
    ),
    Rule(
        "ReaderSpec",
        "self.kind == 'ServiceAccount' ? has(self.__namespace__) : !has(self.__namespace__)",
        "is given for a ServiceAccount, and only there",
        lambda r: (r.kind == "ServiceAccount") == (r.namespace is not None),
        "namespace",
    ),
    _longer_than("ContextSourceSpec", "interval", "1s", or_equal=True),
    _longer_than("ContextSourceSpec", "timeout", "0s", or_equal=False),
    _longer_than("Freshness", "maxStaleness", "0s", or_equal=False),
    _longer_than("Freshness", "documentTTL", "0s", or_equal=False),
    _longer_than("Guard", "confirmAfter", "0s", or_equal=False),
    Rule(
        "Chunking",
        "!has(self.overlap) || !has(self.maxTokens) || self.overlap * 2 <= self.maxTokens",
        "must be at most half of maxTokens",
        lambda c: c.overlap * 2 <= c.max_tokens,
        "overlap",
    ),
)
"""Every cross-field rule of every kind."""


def rules_of(at: str) -> tuple[Rule, ...]:
    """The rules about one model or kind of text."""
    return tuple(rule for rule in RULES if rule.at == at)


def broken(at: str, value: Any) -> list[tuple[str, str]]:
    """(field, message) of every rule about `at` that `value` breaks."""
    return [(rule.field, rule.message) for rule in rules_of(at) if not rule.holds(value)]
