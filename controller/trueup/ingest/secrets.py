"""The rules that recognise credentials in text.

A rule runs only where one of its marks (plain substrings) occurs, and marks of tokens are looked for in long words only: a clean
text costs a split and ten substring searches. Every pattern has bounded repeats, so that no text can make it backtrack for long.

The checksums that some tokens carry are not used to clear a match: a miscopied or shortened live token fails its checksum too, a
false alarm costs one chunk, and a false all-clear publishes a credential. Structure that cannot be there by accident (a JWT's header) is checked.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule matched the characters from `start` to `end`, half-open."""

    rule: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of credential.

    Attributes:
        name: what is shown; never the match.
        marks: substrings one of which every match has.
        pattern: group 1 is the credential.
        accept: a second look at the credential.
        folded: case does not matter; every match begins with one of the marks, so only those places are tried. (Searching 1 KB for a
            case-blind pattern takes 40 µs, for its marks 4 µs.)
    """

    name: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[str], bool] = lambda _: True
    folded: bool = False


_PLACEHOLDER = re.compile(
    r"(?i)^(?:[x*.\-_#?0]+|your.*|my.*|.*(?:example|placeholder|changeme|change[-_]me|redacted|dummy|insert[-_]|<|>|\$\{|\{\{|%\().*|\$.*|\{.*|%.*|\*.*"
    r"|pass|passwd|password|passw0rd|pwd|pw|secret|token|user|username|postgres|root|admin|guest|test|foo|bar|none|null|true|false)$"
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.\-/][A-Za-z_][A-Za-z0-9_]*)*\Z")
_HEX = re.compile(r"(?:sha\d+[-:])?(?:[0-9a-f]{32,}|[0-9A-F]{32,})\Z")


def entropy(text: str) -> float:
    """Shannon entropy of the characters of `text`, bits each."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values()) if text else 0.0


def _not_masked(value: str) -> bool:
    """A token of a fixed format counts unless its body is the same filler throughout (`ghp_xxxx…`)."""
    return not re.fullmatch(r"(?i).{0,12}?([x*.])\1{7,}", value)


def _jwt(value: str) -> bool:
    head = value.split(".", 1)[0]
    try:
        decoded = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return False
    return decoded.startswith(b"{") and b'"' in decoded


def _password(value: str) -> bool:
    return not _PLACEHOLDER.match(value)


def _random(value: str) -> bool:
    """Whether an assigned value looks drawn and not written: letters and digits, many different, no name in a program."""
    if len(value) < 8 or _PLACEHOLDER.match(value) or not re.search(r"[0-9]", value) or not re.search(r"[A-Za-z]", value):
        return False
    classes = sum(bool(re.search(c, value)) for c in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    if _IDENTIFIER.match(value) and not _HEX.match(value):
        return entropy(value) >= 3.5 and (classes >= 3 or len(value) >= 20) and len(value) >= 12
    return entropy(value) >= (2.7 if classes >= 3 else 3.0)


def _bearer(value: str) -> bool:
    return bool(re.search(r"[0-9]", value)) and entropy(value) >= 3.5 and not _PLACEHOLDER.match(value)


def _rule(name: str, marks: str, pattern: str, accept: Callable[[str], bool] = _not_masked, *, folded: bool = False) -> Rule:
    return Rule(name, tuple(marks.split()), re.compile(pattern, re.IGNORECASE if folded else 0), accept, folded)


_KEYWORDS = (
    "passw passphrase pwd secret token credential apikey api_key api-key accesskey access_key access-key account_key account-key auth_key auth-key"
    " signing_key signing-key encryption_key encryption-key private_key private-key"
)

RULES: tuple[Rule, ...] = (
    _rule("aws-access-key", "AKIA ASIA ABIA ACCA", r"(?<![A-Za-z0-9])((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})(?![A-Za-z0-9])"),
    _rule("aws-secret-key", "aws", r"aws.{0,24}?(?:secret|key)[\w\"' -]{0,24}(?:[:=]|=>)\s{0,4}[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])", folded=True),
    _rule("gcp-api-key", "AIza", r"(?<![A-Za-z0-9])(AIza[\w-]{35})(?![\w-])"),
    _rule("gcp-oauth", "ya29. GOCSPX-", r"(?<![A-Za-z0-9])(ya29\.[\w-]{20,512}|GOCSPX-[\w-]{28})"),
    _rule("azure-storage-key", "accountkey= sharedaccesskey=", r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,100}={0,2})", folded=True),
    _rule("azure-client-secret", "Q~", r"(?<![\w~.-])([\w~.-]{3}\dQ~[\w~.-]{31,34})(?![\w~.-])"),
    _rule("azure-sas", "sig=", r"(?<=[?&])sig=([A-Za-z0-9%+/]{40,128}(?:%3D|=)?)", folded=True),
    _rule("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"(?<![A-Za-z0-9])(gh[pousr]_[A-Za-z0-9]{36,255})"),
    _rule("github-pat", "github_pat_", r"(?<![A-Za-z0-9])(github_pat_\w{60,255})"),
    _rule(
        "gitlab-token",
        "glpat- gldt- glrt- glptt- glsoat- glcbt- glft- glimt- glagent-",
        r"(?<![A-Za-z0-9])(gl(?:pat|dt|rt|ptt|soat|cbt|ft|imt|agent)-[\w.-]{20,255})",
    ),
    _rule("slack-token", "xox xapp-", r"(?<![A-Za-z0-9])((?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{15,255})"),
    _rule("slack-webhook", "hooks.slack.com/", r"(hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,255})"),
    _rule("stripe-key", "k_live_ k_test_ whsec_", r"(?<![A-Za-z0-9])([sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/=]{24,255})"),
    _rule("anthropic-key", "sk-ant-", r"(?<![A-Za-z0-9])(sk-ant-[\w-]{20,255})"),
    _rule("openai-key", "sk-", r"(?<![\w-])(sk-(?:proj|svcacct|admin|or-v1)-[\w-]{20,255}|sk-[A-Za-z0-9]{32,255}|sk-[\w-]{0,128}T3BlbkFJ[\w-]{8,128})"),
    _rule("huggingface-token", "hf_", r"(?<![A-Za-z0-9_])(hf_[A-Za-z0-9]{30,255})"),
    _rule("npm-token", "npm_", r"(?<![A-Za-z0-9_])(npm_[A-Za-z0-9]{36,255})"),
    _rule("pypi-token", "pypi-", r"(?<![A-Za-z0-9_])(pypi-AgE[\w-]{50,512})"),
    _rule("sendgrid-key", "SG.", r"(?<![A-Za-z0-9_])(SG\.[\w-]{16,32}\.[\w-]{32,64})"),
    _rule("digitalocean-token", "_v1_", r"(do[opr]_v1_[a-f0-9]{64})"),
    _rule("shopify-token", "shpat_ shpca_ shppa_ shpss_", r"(shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})"),
    _rule("databricks-token", "dapi", r"(?<![A-Za-z0-9])(dapi[a-f0-9]{32})(?![a-f0-9])"),
    _rule("vault-token", "hvs. hvb.", r"(?<![A-Za-z0-9])(hv[sb]\.[\w-]{24,512})"),
    _rule("age-key", "AGE-SECRET-KEY-1", r"(AGE-SECRET-KEY-1[0-9A-Z]{58})"),
    _rule("telegram-token", ":AA", r"(?<![0-9])([0-9]{8,10}:AA[\w-]{33})(?![\w-])"),
    _rule("jwt", "eyJ", r"(?<![\w-])(eyJ[\w-]{8,4096}\.eyJ[\w-]{4,65536}\.[\w-]{8,4096})", _jwt),
    _rule("url-password", "://", r"://[^\s:/@\"'<>]{0,64}:([^\s@/\"'<>]{3,128})@", _password),
    _rule("bearer-token", "bearer", r"bearer\s{1,4}([\w.~+/-]{20,1024}={0,2})", _bearer, folded=True),
    _rule(
        "assigned-secret",
        _KEYWORDS,
        "(?:" + _KEYWORDS.replace(" ", "|") + r")[\w-]{0,24}[\"'`]?\s{0,8}(?::=|=>|[:=])\s{0,8}[\"'`]?([^\s\"'`,;<>(){}\[\]|]{8,256})(?![(\[{])",
        _random,
        folded=True,
    ),
)

# Every rule that is not folded matches inside one word of at least this length, but for url-password.
_LONG_WORD = 20
_URL = next(rule for rule in RULES if rule.name == "url-password")
_TOKENS = tuple((mark, rule) for rule in RULES if not rule.folded and rule is not _URL for mark in rule.marks)
# Each anchored mark has one of these in it: few searches tell that none is there.
_STEMS = ("passw", "passphrase", "pwd", "secret", "token", "credential", "key", "bearer", "sig=", "aws")
_ANCHORED = tuple((next(s for s in _STEMS if s in mark), mark, rule) for rule in RULES if rule.folded for mark in rule.marks)

_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9 ]{0,40} )?PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\s\\:,\"'-]{0,16384}")
_PEM_REACH = 65_536


def find_secrets(text: str) -> Iterator[Finding]:
    """Every credential in `text`, by rule and place; spans of different rules may overlap."""
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        yield from _private_keys(text)
    for rule in _candidates(text):
        for match in rule.pattern.finditer(text):
            if rule.accept(match[1]):
                yield Finding(rule.name, match.start(1), match.end(1))
    folded = _fold(text)
    stems = [stem for stem in _STEMS if stem in folded]
    for mark, rule in [(mark, rule) for stem, mark, rule in _ANCHORED if stem in stems and mark in folded] if stems else ():
        at = folded.find(mark)
        while at != -1:
            here = rule.pattern.match(text, at)
            if here is not None and rule.accept(here[1]):
                yield Finding(rule.name, here.start(1), here.end(1))
            at = folded.find(mark, at + 1)


def _candidates(text: str) -> list[Rule]:
    """The token rules that could match."""
    words = [word for word in text.split() if len(word) >= _LONG_WORD]
    found = [_URL] if "://" in text and "@" in text else []
    if words:
        joined = "\n".join(words)
        found += dict.fromkeys([rule for mark, rule in _TOKENS if mark in joined])
    return found


def _fold(text: str) -> str:
    """Lower case with every character in its place; a few letters have a longer lower case."""
    folded = text.lower()
    return folded if len(folded) == len(text) else re.sub("[A-Z]+", lambda m: m[0].lower(), text)


def _private_keys(text: str) -> Iterator[Finding]:
    """Whole blocks from BEGIN to END; where the END is missing, as far as it can still be key material."""
    end, at = -1, 0
    while (opened := _PEM.search(text, at)) is not None:
        if -1 < end < opened.end() or end == -1:  # searched anew only when passed: linear
            end = text.find("-----END", opened.end())
            end = len(text) + _PEM_REACH * 2 if end == -1 else end
        if end - opened.end() <= _PEM_REACH:
            line = text.find("-----", end + 8, end + 80)
            at = line + 5 if line != -1 else end + 8
        else:
            body = _PEM_BODY.match(text, opened.end())
            at = body.end() if body else opened.end()
        yield Finding("private-key", opened.start(), at)
