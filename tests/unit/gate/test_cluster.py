"""Who asks and what they may, in a cluster: reviews by the API server, and tokens of an OpenID Connect issuer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tests.unit.operator.server import Clock, Server
from trueup.errors import ClusterError, Denied, Unauthenticated
from trueup.gate.cluster.identity import AnyIdentity
from trueup.gate.cluster.kept import Kept
from trueup.gate.cluster.oidc import OidcIdentity
from trueup.gate.cluster.reviews import AccessReviews
from trueup.gate.cluster.tokens import ClusterIdentity
from trueup.model.principal import Caller

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ACCOUNT = {"username": "system:serviceaccount:team:agent", "groups": ["system:serviceaccounts:team"]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def vouches(server: Server, **status: Any) -> None:
    server.answers[REVIEWS] = lambda _: {"authenticated": True, "audiences": ["trueup"], "user": ACCOUNT} | status


# --- TokenReview -----------------------------------------------------------------------------------------------------


def test_a_service_account_is_one_and_no_user(server: Server, clock: Clock) -> None:
    """The caller is (namespace, name) with the groups that the API server vouches for, and no role."""
    vouches(server)
    caller = ClusterIdentity(server, "trueup", clock).verify("token")
    assert (caller.user, caller.service_account, caller.roles) == (None, ("team", "agent"), frozenset())
    assert caller.groups == {"system:serviceaccounts:team"}
    assert server.calls == [("create", REVIEWS)]


@pytest.mark.parametrize(
    "status",
    [
        {"authenticated": False},
        {"audiences": ["https://kubernetes.default.svc"]},
        {"audiences": []},
        {"audiences": None},
        {"user": {}},
        {"authenticated": "yes"},
    ],
    ids=["refused", "other audience", "no audience", "silent about audiences", "nobody", "not a boolean"],
)
def test_what_is_not_vouched_for_is_refused(server: Server, clock: Clock, status: dict[str, Any]) -> None:
    """A31: above all a token that was passed by an authenticator which knows nothing of audiences."""
    vouches(server, **status)
    with pytest.raises(Unauthenticated):
        ClusterIdentity(server, "trueup", clock).verify("token")


def test_who_cannot_be_asked_vouches_for_nobody(server: Server, clock: Clock) -> None:
    """A38: an API server that is away is a denial, and nothing is kept of it."""
    server.fault = ClusterError(why="away")
    identity = ClusterIdentity(server, "trueup", clock)
    with pytest.raises(Denied):
        identity.verify("token")
    server.fault = None
    vouches(server)
    assert identity.verify("token").service_account == ("team", "agent")


def test_a_review_is_believed_for_five_seconds(server: Server, clock: Clock) -> None:
    """A07: a deleted account is asked about anew; the token is no key of what is kept."""
    vouches(server)
    identity = ClusterIdentity(server, "trueup", clock)
    identity.verify("token")
    clock.pass_(4.9)
    identity.verify("token")
    assert len(server.calls) == 1
    vouches(server, authenticated=False)
    clock.pass_(0.2)
    with pytest.raises(Unauthenticated):
        identity.verify("token")
    assert "token" not in identity._kept._answers


def test_a_kept_review_does_not_outlive_its_token(server: Server, clock: Clock) -> None:
    """A08: the end that the token names holds within the five seconds, too."""
    vouches(server)
    claims = base64.urlsafe_b64encode(json.dumps({"iat": clock.now(), "exp": clock.now() + 2}).encode()).decode().rstrip("=")
    identity = ClusterIdentity(server, "trueup", clock)
    identity.verify(f"x.{claims}.x")
    clock.pass_(3)
    with pytest.raises(Unauthenticated):
        identity.verify(f"x.{claims}.x")


def test_only_so_many_answers_are_kept(clock: Clock) -> None:
    """Memory does not grow with the number of tokens."""
    kept: Kept[int] = Kept(clock, 5.0, most=10)
    for number in range(100):
        kept.get(str(number), lambda: 1)
    assert len(kept._answers) == 10


# --- SubjectAccessReview ---------------------------------------------------------------------------------------------

AGENT = Caller(user=None, service_account=("team", "agent"), groups=frozenset({"g"}))


def grants(server: Server, *places: tuple[str, str]) -> None:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        attributes = asked["spec"]["resourceAttributes"]
        assert (attributes["verb"], attributes["resource"]) == ("retrieve", "contextsources")
        return {"allowed": (attributes["namespace"], attributes["name"]) in places}

    server.answers[ACCESS] = answer


def test_a_source_at_a_time_where_a_namespace_is_not_granted(server: Server, clock: Clock) -> None:
    """Exactly what the authorizer grants, whatever the number of sources."""
    grants(server, ("a", "x"))
    assert AccessReviews(server, clock).allowed(AGENT, {"a/x", "a/y", "b/x"}) == {"a/x"}


def test_a_namespace_at_a_time_where_it_is_granted(server: Server, clock: Clock) -> None:
    """A hundred sources of one namespace cost one question."""
    grants(server, ("a", ""))
    wanted = {f"a/{number}" for number in range(100)}
    assert AccessReviews(server, clock).allowed(AGENT, wanted) == wanted
    assert len(server.calls) == 1


def test_a_grant_is_believed_for_five_seconds_by_whom_it_was_for(server: Server, clock: Clock) -> None:
    """A07: a binding that is gone counts soon, and one caller's answer is never another's."""
    grants(server, ("a", "x"))
    reviews = AccessReviews(server, clock)
    assert reviews.allowed(AGENT, {"a/x"}) == {"a/x"}
    grants(server)
    assert reviews.allowed(AGENT, {"a/x"}) == {"a/x"}
    assert reviews.allowed(Caller(user="agent", groups=frozenset({"g"})), {"a/x"}) == frozenset()
    clock.pass_(5.1)
    assert reviews.allowed(AGENT, {"a/x"}) == frozenset()


def test_what_cannot_be_asked_is_not_granted(server: Server, clock: Clock) -> None:
    """A38: nothing is served on the strength of a question that failed."""
    server.fault = ClusterError(why="away")
    assert AccessReviews(server, clock).allowed(AGENT, {"a/x"}) == frozenset()


# --- OpenID Connect --------------------------------------------------------------------------------------------------


class Issuer:
    """An issuer on loopback with one key; `published` is what it publishes."""

    def __init__(self) -> None:
        self.key = generate_private_key(SECP256R1())
        self.looks = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.looks += self.path == "/keys"
                body = issuer.published if self.path == "/keys" else {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.published: dict[str, Any] = {"keys": [self.jwk("one")]}
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def jwk(self, kid: str) -> dict[str, Any]:
        return json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key())) | {"kid": kid, "alg": "ES256", "use": "sig"}

    def token(self, clock: Clock, kid: str = "one", **claims: Any) -> str:
        now = clock.now()
        made = {"iss": self.url, "aud": "trueup", "sub": "alice", "iat": now, "exp": now + 600, "jti": "j1"} | claims
        return jwt.encode({key: value for key, value in made.items() if value is not None}, self.key, algorithm="ES256", headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_a_user_of_the_issuer(issuer: Issuer, clock: Clock) -> None:
    """`sub` is the user, `groups` the groups, `act.sub` the agent that acts; none has a role."""
    identity = OidcIdentity(issuer.url, "trueup", clock)
    caller = identity.verify(issuer.token(clock, groups=["eng", "system:masters"], act={"sub": "assistant"}, roles=["operator"]))
    assert (caller.user, caller.groups, caller.agent, caller.roles, caller.token) == ("alice", {"eng"}, "assistant", frozenset(), "j1")
    assert caller.service_account is None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"sub": ""},
        {"sub": "system:serviceaccount:team:agent"},
        {"sub": "system:admin"},
        {"groups": "eng"},
        {"act": {"sub": "a", "act": {"sub": "b"}}},
        {"act": {"sub": "system:x"}},
    ],
    ids=lambda claims: "-".join(f"{key}" for key in claims),
)
def test_what_the_issuer_did_not_say_so_is_refused(issuer: Issuer, clock: Clock, claims: dict[str, Any]) -> None:
    """A02, A08, A31: audience, times, names that only Kubernetes gives, and chains that nothing bounds."""
    with pytest.raises(Unauthenticated):
        OidcIdentity(issuer.url, "trueup", clock).verify(issuer.token(clock, **claims))


def test_the_algorithm_is_the_keys(issuer: Issuer, clock: Clock) -> None:
    """Neither no signature, nor the published key taken for a shared secret, nor somebody else's key passes."""
    now = clock.now()
    claims = {"iss": issuer.url, "aud": "trueup", "sub": "alice", "iat": now, "exp": now + 600}
    public = json.dumps(issuer.jwk("one")).encode()
    header, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "HS256", "kid": "one"}, claims))
    signature = base64.urlsafe_b64encode(hmac.new(public, f"{header}.{body}".encode(), hashlib.sha256).digest()).decode().rstrip("=")
    forged = [
        jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}),
        f"{header}.{body}.{signature}",
        jwt.encode(claims, generate_private_key(SECP256R1()), algorithm="ES256", headers={"kid": "one"}),
        "x",
        "",
    ]
    identity = OidcIdentity(issuer.url, "trueup", clock)
    for token in forged:
        with pytest.raises(Unauthenticated):
            identity.verify(token)


def test_a_new_key_is_looked_up_and_no_flood_of_looks(issuer: Issuer, clock: Clock) -> None:
    """A rotated key works within ten seconds; a thousand made-up key names cost the issuer nothing."""
    identity = OidcIdentity(issuer.url, "trueup", clock)
    identity.verify(issuer.token(clock))
    issuer.published = {"keys": [issuer.jwk("two")]}
    for number in range(50):
        with pytest.raises(Unauthenticated):
            identity.verify(issuer.token(clock, kid=f"made-up-{number}"))
    assert issuer.looks == 1
    clock.pass_(10)
    assert identity.verify(issuer.token(clock, kid="two")).user == "alice"
    assert issuer.looks == 2


def test_an_issuer_that_is_away_is_a_denial(clock: Clock) -> None:
    """A38; and what is not https is no issuer at all."""
    with pytest.raises(Denied):
        OidcIdentity("http://127.0.0.1:9", "trueup", clock).verify("x")
    with pytest.raises(ValueError, match="https"):
        OidcIdentity("http://issuer.example", "trueup", clock)


def test_each_token_goes_to_who_issued_it(issuer: Issuer, server: Server, clock: Clock) -> None:
    """A token that names the issuer never reaches the API server, and any other never the issuer."""
    vouches(server)
    identity = AnyIdentity(ClusterIdentity(server, "trueup", clock), OidcIdentity(issuer.url, "trueup", clock))
    assert identity.verify(issuer.token(clock)).user == "alice"
    assert server.calls == []
    assert identity.verify("a.b.c").service_account == ("team", "agent")
    alone: Callable[[str], Caller] = AnyIdentity(ClusterIdentity(server, "trueup", clock)).verify
    assert alone(issuer.token(clock)).service_account == ("team", "agent")
