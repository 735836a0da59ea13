"""Who may read what: the slots that the index is filtered by, and the predicate that decides, are one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.decide import access as access_module
from trueup.decide.access import OWN, AccessPolicy, admits, parse_readers, readers_json
from trueup.model.principal import Caller, Classification, Reader, ReaderKind, Role
from trueup.model.resources import Access

ALICE = Caller("alice", frozenset({"eng"}))
BOT = Caller(None, frozenset({"system:serviceaccounts"}), service_account=("prod", "bot"))
KEY = "default/docs"

U, G, SA, RBAC, EVERYONE = ReaderKind.USER, ReaderKind.GROUP, ReaderKind.SERVICE_ACCOUNT, ReaderKind.RBAC, ReaderKind.EVERYONE

ADMITTED = [
    (True, Reader(EVERYONE), ALICE),
    (True, Reader(EVERYONE), BOT),
    (False, Reader(EVERYONE), Caller(None)),
    (False, Reader(EVERYONE), Caller("")),
    (True, Reader(U, "alice"), ALICE),
    (False, Reader(U, "Alice"), ALICE),
    (False, Reader(U, "alice "), ALICE),
    (False, Reader(U, "a*"), ALICE),
    (False, Reader(U, ""), Caller("")),
    (False, Reader(U, "eng"), ALICE),
    (False, Reader(G, "alice"), ALICE),
    (True, Reader(G, "eng"), ALICE),
    (False, Reader(G, ""), Caller("x", frozenset({""}))),
    (False, Reader(G, "eng,ops"), Caller("x", frozenset({"eng", "ops"}))),
    (False, Reader(G, "eng"), Caller("x", frozenset({"eng,ops"}))),
    (True, Reader(G, "system:serviceaccounts"), BOT),
    (True, Reader(SA, "bot", "prod"), BOT),
    (False, Reader(SA, "bot", "dev"), BOT),
    (False, Reader(SA, "bot", ""), Caller(None, service_account=("", "bot"))),
    (False, Reader(U, "bot"), BOT),
    (False, Reader(U, "system:serviceaccount:prod:bot"), BOT),
    (False, Reader(SA, "bot", "prod"), Caller("bot")),
    (False, Reader(SA, "bot", "prod"), Caller("system:serviceaccount:prod:bot")),
    (False, Reader(RBAC), ALICE),
    (False, Reader(RBAC), Caller("admin", roles=frozenset({Role.OPERATOR}))),
    (True, Reader(RBAC), Caller("x", rbac_sources=frozenset({KEY}))),
    (False, Reader(RBAC), Caller("x", rbac_sources=frozenset({"default/other"}))),
    (False, Reader(U, "x"), Caller("y", rbac_sources=frozenset({KEY}))),
    (True, Reader(U, "alice"), Caller("alice", agent="helper")),
    (False, Reader(U, "helper"), Caller("alice", agent="helper")),
]


@pytest.mark.parametrize(("expected", "reader", "caller"), ADMITTED)
def test_who_a_reader_is(reader: Reader, caller: Caller, *, expected: bool) -> None:
    """Never across kinds, byte for byte, no wildcards, nothing empty; an agent has its user's rights and no others."""
    assert admits((reader,), caller, KEY) is expected


def test_no_readers_is_nobody() -> None:
    """Deny by default, the operator too."""
    assert not admits((), Caller("root", frozenset({"system:masters"}), roles=frozenset({Role.OPERATOR}), rbac_sources=frozenset({KEY})), KEY)


def test_rbac_without_a_source_is_nobody() -> None:
    """An empty key is no source, whatever a caller carries."""
    assert not admits((Reader(RBAC),), Caller("x", rbac_sources=frozenset({""})), "")


def _policy(**access: Any) -> AccessPolicy:
    return AccessPolicy.compile(Access.model_validate(access, by_alias=True, by_name=False))


RULES = {
    "readers": [{"kind": "Group", "name": "eng"}],
    "classification": "Internal",
    "rules": [
        {"paths": ["public/**", "README.md"], "readers": [{"kind": "Everyone"}], "classification": "Public"},
        {"paths": ["secret/"], "readers": []},
        {"paths": ["*.key", "!ok.key"], "classification": "Restricted"},
        {"paths": ["public/late.md"], "readers": []},
        {"paths": ["r\u00e9sum\u00e9s/**"], "readers": []},
    ],
}


@pytest.mark.parametrize(
    ("ordinal", "uri"),
    [
        (OWN, "a.md"),
        (0, "public/a.md"),
        (0, "x/README.md"),
        (OWN, "x/public/a.md"),
        (OWN, "Public/a.md"),
        (1, "secret/a.md"),
        (1, "x/secret/a.md"),
        (0, "x/secret/README.md/a"),
        (0, "x/secret/README.md"),
        (2, "a.key"),
        (OWN, "ok.key"),
        (0, "public/late.md"),
        (4, "re\u0301sume\u0301s/a.md"),
        (1, "a%0Ab/secret/c.md"),
    ],
)
def test_the_first_rule_that_matches_wins(ordinal: int, uri: str) -> None:
    """Anchored where a slash is held, case counts, compared in NFC and as people read it."""
    assert _policy(**RULES).place(uri) == ordinal


def test_a_rule_replaces_what_it_names_and_inherits_the_rest() -> None:
    """`readers: []` is nobody; absent is the source's."""
    own, public, secret, keys, *_ = _policy(**RULES).slots()
    eng = (Reader(G, "eng"),)
    assert own == (OWN, eng, Classification.INTERNAL)
    assert public == (0, (Reader(EVERYONE),), Classification.PUBLIC)
    assert secret == (1, (), Classification.INTERNAL)
    assert keys == (2, eng, Classification.RESTRICTED)
    assert _policy(**RULES).slot("secret/x").readers == ()


NAMES = st.sampled_from(["alice", "eng", "bot", "prod"])
READERS = st.one_of(
    st.builds(lambda n: {"kind": "User", "name": n}, NAMES),
    st.builds(lambda n: {"kind": "Group", "name": n}, NAMES),
    st.builds(lambda n, s: {"kind": "ServiceAccount", "name": n, "namespace": s}, NAMES, NAMES),
    st.sampled_from([{"kind": "Everyone"}, {"kind": "RBAC"}]),
)
READER_LISTS = st.lists(READERS, max_size=3)
PATHS = st.lists(st.sampled_from(["a", "a/", "/b", "*.md", "a/**", "**/c", "!c", "b/*", "[ab].md"]), min_size=1, max_size=3)
RULE = st.fixed_dictionaries({"paths": PATHS}, optional={"readers": READER_LISTS, "classification": st.sampled_from([c.value for c in Classification])})
ACCESS = st.fixed_dictionaries({"readers": READER_LISTS}, optional={"rules": st.lists(RULE, max_size=4)})
CALLERS = st.one_of(
    st.builds(
        lambda u, g, r, a: Caller(u, frozenset(g), rbac_sources=frozenset(r), agent=a),
        NAMES,
        st.lists(NAMES),
        st.lists(st.sampled_from([KEY, "a/b"])),
        st.none() | NAMES,
    ),
    st.builds(lambda s, n, g: Caller(None, frozenset(g), service_account=(s, n)), NAMES, NAMES, st.lists(NAMES)),
)
URIS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "a.md", "d"]), min_size=1, max_size=3).map("/".join), min_size=1, max_size=6)


def _by_hand(access: dict[str, Any], caller: Caller, policy: AccessPolicy, uri: str) -> bool:
    """The contract's sentence, evaluated document by document from the declaration itself."""
    ordinal = policy.place(uri)
    rule = access.get("rules", [])[ordinal] if ordinal >= 0 else {}
    mine = [("User", caller.user, None)] if caller.user else [("ServiceAccount", caller.service_account[1], caller.service_account[0])]  # type: ignore[index]
    mine += [("Group", name, None) for name in caller.groups] + [("Everyone", None, None)] + ([("RBAC", None, None)] if KEY in caller.rbac_sources else [])
    return any((r["kind"], r.get("name"), r.get("namespace")) in mine for r in rule.get("readers", access["readers"]))


@given(ACCESS, CALLERS, URIS)
def test_the_compiled_slots_are_the_predicate(access: dict[str, Any], caller: Caller, uris: list[str]) -> None:
    """The set of slots that the index is filtered by admits exactly the documents that the declaration does."""
    policy = _policy(**access)
    stored = {slot.ordinal: parse_readers(readers_json(slot.readers)) for slot in policy.slots()}
    searched = {ordinal for ordinal, readers in stored.items() if admits(readers, caller, KEY)}
    for uri in uris:
        assert (policy.place(uri) in searched) == _by_hand(access, caller, policy, uri)
        assert (policy.place(uri) in searched) == admits(policy.slot(uri).readers, caller, KEY)


def test_the_property_goes_red_when_the_predicate_is_loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control off: names that match across kinds let a group read what is a user's."""
    monkeypatch.setattr(access_module, "_is", lambda reader, caller, _: reader.name in {caller.user, *caller.groups})
    access = {"readers": [{"kind": "User", "name": "eng"}]}
    policy = _policy(**access)
    assert admits(policy.slot("a").readers, ALICE, KEY) != _by_hand(access, ALICE, policy, "a")


def test_equal_lists_are_equal_text() -> None:
    """Lists are interned by their text: order and repetition do not count."""
    a, b = Reader(U, "a"), Reader(G, "b\u00e9")
    text = readers_json([a, b, a])
    assert text == readers_json([b, a])
    assert json.loads(text) == [["Group", "b\u00e9", ""], ["User", "a", ""]]
    assert set(parse_readers(text)) == {a, b}
