"""Secrets never reach an embedding, an index or an answer."""

from __future__ import annotations

import base64
import random
import string
import time

import pytest

from trueup.ingest import screening
from trueup.ingest.prepare import prepare
from trueup.ingest.secrets import RULES, find_secrets
from trueup.model.text import IngestSettings, Prepared, Verdict

PLAIN = IngestSettings()
RNG = random.Random(11)


def _drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(RNG.choices(alphabet, k=length - 4)) + "a7Qz"


# Built from parts, so that no scanner of this repository takes them for real.
SECRETS = {
    "aws-access-key": ["AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "QWERTYUIOP234567"],
    "aws-secret-key": ["aws_secret_access_key = " + _drawn(40)],
    "gcp-api-key": ["AIza" + _drawn(35)],
    "gcp-oauth": ["ya29." + _drawn(60), "GOCSPX-" + _drawn(28)],
    "azure-storage-key": ["AccountName=x;AccountKey=" + base64.b64encode(_drawn(64).encode()).decode()],
    "azure-client-secret": ["abc8Q~" + _drawn(34)],
    "azure-sas": ["https://x.blob.core.windows.net/c?sv=2024&sig=" + _drawn(43) + "%3D"],
    "github-token": ["ghp_" + _drawn(36), "ghs_" + "a" * 36],
    "github-pat": ["github_pat_" + _drawn(82)],
    "gitlab-token": ["glpat-" + _drawn(20)],
    "slack-token": ["xoxb-" + "123456789012-" + _drawn(24)],
    "slack-webhook": ["https://hooks.slack.com/services/" + "T00000000/B00000000/" + _drawn(24)],
    "stripe-key": ["sk_live_" + _drawn(24), "whsec_" + _drawn(32)],
    "anthropic-key": ["sk-ant-" + "api03-" + _drawn(90)],
    "openai-key": ["sk-" + _drawn(48), "sk-proj-" + _drawn(60)],
    "huggingface-token": ["hf_" + _drawn(34)],
    "npm-token": ["npm_" + _drawn(36)],
    "pypi-token": ["pypi-" + "AgEIcHlwaS5vcmc" + _drawn(60)],
    "sendgrid-key": ["SG." + _drawn(22) + "." + _drawn(43)],
    "digitalocean-token": ["dop_v1_" + "0a1b" * 16],
    "shopify-token": ["shpat_" + "0a1b" * 8],
    "databricks-token": ["dapi" + "0a1b" * 8],
    "vault-token": ["hvs." + _drawn(24)],
    "age-key": ["AGE-SECRET-KEY-1" + "QPZRY9X8" * 7 + "QP"],
    "telegram-token": ["123456789:AA" + _drawn(33)],
    "jwt": ["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + _drawn(43)],
    "url-password": ["postgres://app:" + "hunter2@db.internal:5432/prod", "redis://:" + "s3cr3tpw@cache:6379/0"],
    "bearer-token": ["Authorization: Bearer " + _drawn(40)],
    "assigned-secret": [
        'api_key = "' + _drawn(32) + '"',
        "DB_PASSWORD=" + "Tr0ub4dor&3xQ",
        '"client_secret": "' + _drawn(40) + '"',
        "password: " + "9fK2mPx7vLq",
        "SECRET_KEY_BASE=" + "0123456789abcdef" * 4,
    ],
    "private-key": ["-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(_drawn(64) for _ in range(5)) + "\n-----END RSA PRIVATE KEY-----"],
}
CASES = [(rule, secret) for rule, secrets in SECRETS.items() for secret in secrets]

CLEAN = [
    "The password must be at least 12 characters long. Use a token.",
    "password: <your-password>",
    "password = os.environ['DB_PASSWORD']",
    "api_key: ${API_KEY}",
    "token = self.client.get_token2(request1)",
    "secretName: my-app-secret-v2",
    "ghp_" + "x" * 36,
    "postgres://user:password@localhost/db",
    "https://user@example.org/path",
    "commit 0123456789abcdef0123456789abcdef01234567 and sha256:" + "0a" * 32,
    "eyJust a word. eyJother.words",
    "sk-learn and sk-small-business-administration-of-2026",
    "id: 123e4567-e89b-12d3-a456-426614174000",
    "tokens = tokenizer.encode(text, max_length=512)",
    "The key: value store keeps 12345678 entries.",
    "![logo](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA)",
    "primary_key=True, foreign_key='table1.column2'",
]


def _everything(made: Prepared) -> str:
    return repr([(c.text, c.heading, c.findings, c.digest) for c in made.chunks]) + made.message + str(made.conflict_key)


def test_every_rule_has_a_case() -> None:
    """No rule goes untested."""
    assert {rule.name for rule in RULES} | {"private-key"} == set(SECRETS)


@pytest.mark.parametrize(("rule", "secret"), CASES, ids=[f"{r}-{n}" for n, (r, _) in enumerate(CASES)])
@pytest.mark.parametrize("frame", ["{}", "Use this: {} now.", "```\n{}\n```", "x = 1\n{}\ny = 2"])
def test_secret_is_quarantined(rule: str, secret: str, frame: str) -> None:
    """A chunk that touches a credential keeps nothing of its text, only the names of the rules."""
    made = prepare(frame.format(secret).encode(), "notes.md", PLAIN)
    (chunk,) = made.chunks
    assert (chunk.verdict, chunk.text, chunk.heading) == (Verdict.QUARANTINED, "", ())
    assert rule in chunk.findings
    assert secret.rsplit(" ", 1)[-1][-12:] not in _everything(made)


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_text_is_clean(text: str) -> None:
    """What only speaks of credentials, or looks random for other reasons, is delivered."""
    assert [c.verdict for c in prepare(text.encode(), "notes.md", PLAIN).chunks] == [Verdict.CLEAN]


def test_clean_neighbours_are_delivered() -> None:
    """Only the chunks that touch a secret are held back."""
    text = "# One\n\nfine\n\n# Two\n\n" + SECRETS["github-token"][0] + "\n\n# Three\n\nalso fine\n"
    assert [c.verdict for c in prepare(text.encode(), "a.md", PLAIN).chunks] == [Verdict.CLEAN, Verdict.QUARANTINED, Verdict.CLEAN]


@pytest.mark.parametrize("ending", ["\n-----END RSA PRIVATE KEY-----", ""], ids=["whole", "cut short"])
def test_key_over_several_chunks(ending: str) -> None:
    """A private key is longer than a chunk: every chunk with a part of it is quarantined."""
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(_drawn(64) for _ in range(50)) + ending
    made = prepare(f"# Before\n\nwords\n\n# Key\n\n{key}\n\n# After\n\nMore words, with a full stop.\n".encode(), "a.md", PLAIN)
    held = [c for c in made.chunks if c.verdict is Verdict.QUARANTINED]
    assert len(held) >= 4
    said = _everything(made)
    assert not [line for line in key.splitlines()[1:51] if line in said]
    assert made.chunks[0].verdict is Verdict.CLEAN
    if ending:
        assert made.chunks[-1].verdict is Verdict.CLEAN


def test_without_the_whole_text_a_split_key_would_leak() -> None:
    """Screening chunk by chunk lets most of a key through: the test above can fail."""
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(_drawn(64) for _ in range(50)) + "\n-----END RSA PRIVATE KEY-----"
    loose = prepare(key.encode(), "a.md", PLAIN, screens=())
    assert sum(bool(list(find_secrets(c.text))) for c in loose.chunks) < len(loose.chunks)


def test_secret_in_a_name_concerns_the_document() -> None:
    """A credential in the uri, percent-encoded or not, quarantines every chunk."""
    secret = SECRETS["github-token"][0]
    for uri in (f"docs/{secret}.md", f"docs/%67hp_{secret[4:]}/a.md"):
        made = prepare(b"# A\n\none\n\n# B\n\ntwo\n", uri, PLAIN)
        assert [c.verdict for c in made.chunks] == [Verdict.QUARANTINED] * 2


def test_secret_in_a_heading_taints_what_is_below() -> None:
    """Headings travel with every chunk below them, so those go too."""
    secret = SECRETS["github-token"][0]
    made = prepare(f"# Token {secret}\n\none\n\n## Below\n\ntwo\n\n# Other\n\nthree\n".encode(), "a.md", PLAIN)
    assert [c.verdict for c in made.chunks] == [Verdict.QUARANTINED, Verdict.QUARANTINED, Verdict.CLEAN]
    assert secret not in _everything(made)


def test_modes() -> None:
    """Flag delivers and says so; Off says nothing."""
    text = SECRETS["github-token"][0].encode()
    flagged = prepare(text, "a.md", IngestSettings(secrets="Flag")).chunks[0]
    off = prepare(text, "a.md", IngestSettings(secrets="Off")).chunks[0]
    assert (flagged.verdict, flagged.text, flagged.findings) == (Verdict.FLAGGED, text.decode(), ("github-token",))
    assert (off.verdict, off.findings, off.digest) == (Verdict.CLEAN, (), flagged.digest)


def test_digest_of_a_quarantined_chunk_tells_nothing() -> None:
    """Two secrets of one kind give no digest that could be tried out against guesses of the text."""
    first, second = (prepare(f"password: {p}".encode(), "a.md", PLAIN).chunks[0] for p in ("9fK2mPx7vLq", "8gL3nQy6wMr"))
    off = prepare(b"password: 9fK2mPx7vLq", "a.md", IngestSettings(secrets="Off")).chunks[0]
    assert len({first.digest, second.digest, off.digest}) == 3


def test_later_screens_only_raise() -> None:
    """A flagging screen after a quarantining one changes no verdict, and its finding is shown too."""
    flags = screening.Screen("words", lambda s: s.injection, lambda text: [screening.Finding("odd-word", 0, len(text))])
    made = prepare(SECRETS["github-token"][0].encode(), "a.md", PLAIN, screens=(*screening.SCREENS, flags))
    assert (made.chunks[0].verdict, made.chunks[0].findings) == (Verdict.QUARANTINED, ("github-token", "odd-word"))


def test_clean_text_is_cheap() -> None:
    """A kilobyte of plain text is screened in well under a tenth of a millisecond."""
    text = "Plain words in a row that mean nothing much, see https://x.y/z for more. " * 14
    best = float("inf")
    for _ in range(20):
        start = time.process_time()
        for _ in range(50):
            list(find_secrets(text))
        best = min(best, (time.process_time() - start) / 50)
    assert best < 100e-6
