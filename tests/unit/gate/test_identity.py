"""Local tokens and the keys behind them."""

import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.gate.world import NOW, TestClock
from trueup.errors import Invalid, Unauthenticated
from trueup.gate import receipts
from trueup.gate.identity import LEEWAY, LONGEST, Genuine, LocalIdentity, mint
from trueup.gate.keys import Keys, KeysUnusable
from trueup.gate.sealing import CheckpointSeal
from trueup.model.principal import Caller, Role


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load(tmp_path / "keys")


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def identity(keys: Keys, clock: TestClock) -> LocalIdentity:
    return LocalIdentity(keys.token, clock)


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {"iss": "trueup", "aud": "trueup", "sub": "alice", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "j", **changes}
    return {name: value for name, value in claims.items() if value is not None}


def _signed(keys: Keys, claims: dict[str, Any], typ: str | None = "trueup+jwt", key: Any = None, algorithm: str = "EdDSA") -> str:
    # Straight to the signature: PyJWT would refuse to write some of what an attacker may send.
    return jwt.api_jws.encode(json.dumps(claims).encode(), key or keys.token.private, algorithm=algorithm, headers={} if typ is None else {"typ": typ})


def test_a_token_names_its_user(keys: Keys, clock: TestClock, identity: LocalIdentity) -> None:
    """User, groups and roles come back as they were given; times keep their fraction."""
    caller = identity.verify(mint(keys.token, clock, "alice", groups=["eng", "ops"], roles=[Role.OPERATOR], ttl=60))
    assert (caller.user, caller.groups, caller.roles, caller.agent) == ("alice", frozenset({"eng", "ops"}), frozenset({Role.OPERATOR}), None)
    assert (caller.issued_at, caller.expires_at) == (NOW, NOW + 60)
    assert caller.operator


def test_a_token_known_to_be_genuine_ends_as_any_other(keys: Keys, clock: TestClock, identity: LocalIdentity) -> None:
    """That its signature was found right once neither prolongs a token nor lends anything to one that differs from it."""
    token = mint(keys.token, clock, "alice", ttl=60)
    for _ in range(2):
        assert identity.verify(token).user == "alice"
    for other in (token[:-2], token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A"):
        with pytest.raises(Unauthenticated):
            identity.verify(other)
    clock.pass_(60 + LEEWAY)
    with pytest.raises(Unauthenticated):
        identity.verify(token)
    clock.wall = NOW - LEEWAY - 1
    with pytest.raises(Unauthenticated):
        identity.verify(token)


def test_no_more_tokens_are_remembered_than_there_is_room_for(keys: Keys, clock: TestClock) -> None:
    """Whatever many hold tokens, memory does not grow with them, and one that was let go is as good as before."""
    genuine = Genuine(kept=2)
    identity = LocalIdentity(keys.token, clock, genuine)
    tokens = [mint(keys.token, clock, name) for name in ("alice", "bob", "carol")]
    for _ in range(2):
        assert [identity.verify(token).user for token in tokens] == ["alice", "bob", "carol"]
    assert len(genuine) == 2


def test_an_agent_loses_every_role(keys: Keys, clock: TestClock, identity: LocalIdentity) -> None:
    """It has its user's rights to content and nothing else."""
    caller = identity.verify(mint(keys.token, clock, "alice", groups=["eng"], agent="bot", roles=[Role.OPERATOR, Role.AUDITOR]))
    assert (caller.user, caller.groups, caller.agent, caller.roles) == ("alice", frozenset({"eng"}), "bot", frozenset())


@pytest.mark.parametrize(
    ("issued", "now", "good"),
    [(0, 60 + LEEWAY - 1, True), (0, 60 + LEEWAY, False), (LEEWAY, 0, True), (LEEWAY + 1, 0, False)],
    ids=["within-leeway", "expired", "issuer-ahead", "not-yet"],
)
def test_times_are_judged_with_leeway(keys: Keys, clock: TestClock, identity: LocalIdentity, issued: float, now: float, good: bool) -> None:
    """Half a minute for clocks that differ, and no more (A08)."""
    clock.wall = NOW + issued
    token = mint(keys.token, clock, "alice", ttl=60)
    clock.wall = NOW + now
    if good:
        assert identity.verify(token).user == "alice"
    else:
        with pytest.raises(Unauthenticated):
            identity.verify(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"aud": None},
        {"iss": "other"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"jti": None},
        {"exp": None},
        {"nbf": None},
        {"iat": None},
        {"exp": NOW + LONGEST + 1},
        {"exp": float("inf")},
        {"exp": "9999999999"},
        {"exp": True},
        {"nbf": NOW + 3600},
        {"groups": "eng"},
        {"groups": [1]},
        {"roles": ["root"]},
        {"act": "bot"},
        {"act": {}},
        {"act": {"sub": ""}},
        {"act": {"sub": "a", "act": {"sub": "b"}}},
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_or_missing(keys: Keys, identity: LocalIdentity, changes: dict[str, Any]) -> None:
    """Signed by the right key and still refused, always with the same words."""
    assert identity.verify(_signed(keys, _claims())).user == "alice"
    with pytest.raises(Unauthenticated, match="A valid bearer token is needed"):
        identity.verify(_signed(keys, _claims(**changes)))


def test_a_token_of_another_kind_or_key(keys: Keys, identity: LocalIdentity, tmp_path: Path) -> None:
    """Another key, another type, no signature, a symmetric one over the public key: none passes (A31)."""
    public = base64.urlsafe_b64decode(keys.token.jwk["x"] + "=")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"trueup+jwt"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(_claims()).encode()).rstrip(b"=").decode()
    genuine = _signed(keys, _claims())
    others = [
        _signed(keys, _claims(), key=Ed25519PrivateKey.generate()),
        _signed(keys, _claims(), key=Keys.load(tmp_path / "other").token.private),
        _signed(keys, _claims(), key=keys.receipt.private),
        _signed(keys, _claims(), typ="JWT"),
        _signed(keys, _claims(), typ="trueup-receipt+jwt"),
        _signed(keys, _claims(), key=public, algorithm="HS256"),
        f"{head}.{body}.",
        genuine[:-4] + "AAAA",
        genuine.partition(".")[0],
        "",
        "x" * 10_000,
        "a.b.c",
        "\udcff.a.b",
    ]
    for token in others:
        with pytest.raises(Unauthenticated):
            identity.verify(token)


def test_receipts_tokens_and_checkpoints_do_not_pass_for_each_other(keys: Keys, clock: TestClock, identity: LocalIdentity) -> None:
    """Each has a key and a type of its own, and each check alone refuses the others."""
    caller = Caller(user="alice")
    token, receipt = mint(keys.token, clock, "alice"), receipts.issue(keys, "ret_1", caller, 1, NOW, [("c", "d")])
    seal = CheckpointSeal(keys.checkpoint)
    checkpoint = seal.sign({"number": 1})
    assert receipts.genuine(keys, receipt).chunks == (("c", "d"),)
    for text in (token, checkpoint, receipt[:-4] + "AAAA"):
        with pytest.raises(Invalid):
            receipts.genuine(keys, text)
    for text in (receipt, checkpoint):
        with pytest.raises(Unauthenticated):
            identity.verify(text)
    assert (seal.open(token), seal.open(receipt), (seal.open(checkpoint) or {})["number"]) == (None, None, 1)


def test_a_receipt_of_the_longest_answer_fits(keys: Keys) -> None:
    """100 chunks need less than 32 KiB, and the receipt does not say who asked."""
    chunks = [(f"{number:08}-0000-0000-0000-000000000000", "sha256:" + "0" * 64) for number in range(100)]
    receipt = receipts.issue(keys, "ret_" + "0" * 32, Caller(user="alice" * 100), 1 << 60, NOW, chunks)
    assert len(receipt) < receipts.LONGEST
    assert len(receipts.genuine(keys, receipt).chunks) == 100
    assert b"alice" not in base64.urlsafe_b64decode(receipt.split(".")[1] + "==")


@pytest.mark.parametrize(
    ("user", "ttl"), [("", 60), ("a\nb", 60), ("\ud800", 60), ("x" * 513, 60), ("alice", 0), ("alice", -1), ("alice", LONGEST + 1), ("alice", float("nan"))]
)
def test_what_cannot_be_minted(keys: Keys, clock: TestClock, user: str, ttl: float) -> None:
    """Empty or unprintable names and lives beyond 30 days."""
    with pytest.raises(Invalid):
        mint(keys.token, clock, user, ttl=ttl)


def test_no_user_reads_like_an_agent_of_another() -> None:
    """Principals in records are told apart, whatever names they have."""
    keys = {Caller(user="a", agent="b").key, Caller(user="a+agent:b").key, Caller(user="a%2Bagent:b").key, Caller(user=None, service_account=("a", "b")).key}
    assert len(keys) == 4


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    """0700 and 0600, made once, the same the next time, and nothing else left in the folder."""
    first, second = Keys.load(tmp_path / "keys"), Keys.load(tmp_path / "keys")
    assert first.token.kid == second.token.kid
    assert first.digest == second.digest
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    names = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert names == ["checkpoint", "digest", "hook", "receipt", "token"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert "private" not in repr(first.token)


def test_two_that_come_at_once_make_one_key(tmp_path: Path) -> None:
    """`trueup token` and `trueup serve` may both be the first."""
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: Keys.load(tmp_path / "keys").token.kid, range(32)))) == 1


def test_a_broken_key_is_refused(tmp_path: Path) -> None:
    """A truncated key signs nothing."""
    Keys.load(tmp_path / "keys")
    (tmp_path / "keys" / "token").write_bytes(b"short")
    with pytest.raises(KeysUnusable, match="restore it from a backup"):
        Keys.load(tmp_path / "keys")
