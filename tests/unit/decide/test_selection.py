"""Which documents a source takes."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.decide.patterns import PatternList, readable
from trueup.decide.selection import GlobSelection
from trueup.errors import Invalid
from trueup.model.resources.fields import PATTERN
from trueup.ports import Selection


def _text_only(uri: str) -> bool:
    return uri.endswith((".md", ".txt"))


def _selection(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> GlobSelection:
    return GlobSelection(include, exclude, _text_only)


TAKEN = [
    ((), (), "a.md", True),
    ((), (), "a/b/c.txt", True),
    ((), (), "a.png", False),
    ((), (), ".hidden.md", False),
    ((), (), "a/.hidden/b.md", False),
    ((), (), "", False),
    ((), (), "a/", False),
    (("docs/**",), (), "docs/a.png", True),
    (("docs/**",), (), "docs/a/b.md", True),
    (("docs/**",), (), "other/docs/a.md", False),
    (("docs/**",), (), "docs.md", False),
    (("docs",), (), "x/docs/a.md", True),
    (("/docs",), (), "x/docs/a.md", False),
    (("*.md",), (), "x/y/a.md", True),
    (("*.md",), (), "a.MD", False),
    (("x/*.md",), (), "x/y/a.md", False),
    (("x/**/a.md",), (), "x/a.md", True),
    (("a?.md",), (), "ab.md", True),
    (("a[bc].md",), (), "ad.md", False),
    ((r"\!a.md",), (), "!a.md", True),
    (("*.md", "!b.md"), (), "b.md", False),
    (("!b.md", "*.md"), (), "b.md", True),
    (("*.md",), ("*.md",), "a.md", False),
    (("docs/",), ("docs/drafts/",), "docs/drafts/a.md", False),
    ((), ("drafts",), "x/drafts/a.md", False),
    ((), ("drafts/",), "drafts", False),
    ((), ("drafts/", "!drafts/ok.md"), "drafts/ok.md", True),
    (("**",), (), ".env", False),
    (("*",), (), "a/.b/c.md", False),
    ((".env",), (), "a/.env", True),
    ((".github/**",), (), ".github/a/b.yml", True),
    ((".github/**",), (), ".github/.secret", False),
    ((".github/.*",), (), ".github/.secret", True),
    ((".*",), (), ".a/.b/.c", True),
    ((".git/**",), (), ".git/config", False),
    ((".*", "**"), (), "sub/.git/config", False),
    ((".git",), (), ".git", False),
    ((".*",), (), ".GIT/config", False),
    ((".github/**",), (".github/private/",), ".github/private/a.md", False),
    (("r\u00e9sum\u00e9.md",), (), "re\u0301sume\u0301.md", True),
    ((), ("re\u0301sume\u0301/",), "r\u00e9sum\u00e9/a.md", False),
    (("100%.md",), (), "100%25.md", True),
    ((), ("a\u202eb.md",), "a%E2%80%AEb.md", False),
    ((), ("**/secret.md",), "a%0Ab/secret.md", False),
]


@pytest.mark.parametrize(("include", "exclude", "uri", "expected"), TAKEN)
def test_what_is_taken(include: tuple[str, ...], exclude: tuple[str, ...], uri: str, *, expected: bool) -> None:
    """gitignore's meaning; exclude wins; a dot must be said; `.git` never; names as people read them."""
    assert _selection(include, exclude).takes(uri) is expected
    if expected:
        assert _selection(include, exclude).enters(uri.rpartition("/")[0])


@pytest.mark.parametrize(
    ("include", "exclude", "folder", "expected"),
    [
        ((), (), "", True),
        ((), (), "a/b", True),
        ((), (), ".cache", False),
        ((), (), "a/.git", False),
        ((), ("build/",), "x/build", False),
        ((), ("build/*",), "build/a", False),
        ((), ("build/", "!build/a.md"), "build", True),
        (("docs/guide/*.md",), (), "docs", True),
        (("docs/guide/*.md",), (), "docs/guide/deep", True),
        (("docs/guide/*.md",), (), "src", False),
        (("docs/guide/*.md", "*.txt"), (), "src", True),
        ((".github/**",), (), ".github", True),
        ((".github/**",), (), ".cache", False),
    ],
)
def test_folders_that_can_hold_nothing_wanted_are_not_entered(include: tuple[str, ...], exclude: tuple[str, ...], folder: str, *, expected: bool) -> None:
    """A connector need not list what is never taken."""
    assert _selection(include, exclude).enters(folder) is expected


SEGMENTS = st.sampled_from(["a", "b", "docs", ".x", ".git", "a.md", "b.txt", "é.md", "x y", "A"])
URIS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(["a", "b", "docs", "*", "**", "?", ".x", "*.md", "[ab]", ".*", "é.md", "a*", "x y"])
PATTERNS = st.builds(
    lambda bang, root, pieces, end: bang + root + "/".join(pieces) + end,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(PIECES, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
LISTS = st.lists(PATTERNS, max_size=3).map(tuple)


@given(LISTS, LISTS, URIS)
def test_pruning_never_hides_what_is_taken(include: tuple[str, ...], exclude: tuple[str, ...], uri: str) -> None:
    """`enters` is False only above nothing: else a listing would miss a document, and the diff would call it deleted."""
    selection = _selection(include, exclude)
    if selection.takes(uri):
        folders = uri.split("/")[:-1]
        assert all(selection.enters("/".join(folders[:depth])) for depth in range(len(folders) + 1))


@given(LISTS, LISTS, URIS)
def test_asking_twice_answers_the_same(include: tuple[str, ...], exclude: tuple[str, ...], uri: str) -> None:
    """What is remembered of folders changes no answer."""
    selection = _selection(include, exclude)
    first = selection.takes(uri)
    selection.enters(uri)
    assert selection.takes(uri) is first
    assert _selection(include, exclude).takes(uri) is first


@given(st.from_regex(PATTERN.replace("^", "", 1).removesuffix("$"), fullmatch=True).filter(lambda p: len(p) < 40), URIS)
def test_what_admission_lets_through_compiles_or_is_refused_with_a_sentence(pattern: str, uri: str) -> None:
    """No pattern that the schema takes makes anything but a verdict or a refusal."""
    try:
        PatternList([pattern]).matches(readable(uri))
    except Invalid as error:
        assert "not valid" in str(error)  # noqa: PT017 - both outcomes are right


def test_a_pattern_that_would_match_nothing_is_refused() -> None:
    """Silence would leave a document where its owner thinks it is excluded."""
    with pytest.raises(Invalid, match="not valid"):
        PatternList(["[z-a]"])


def test_hostile_patterns_and_names_take_no_time() -> None:
    """Matching is linear in the name: Python's own engine would need years for this."""
    patterns = PatternList(["*a" * 20 + "*b", "**/" + "*x*/" * 40 + "y"])
    began = time.perf_counter()
    assert not patterns.matches("a" * 255)
    assert not patterns.matches("/".join(["xx"] * 1000))
    assert time.perf_counter() - began < 2


def test_the_largest_list_compiles() -> None:
    """What the schema admits, memory does not refuse."""
    assert not PatternList([f"{'x' * 250}{n}/**/*?[ab]{'y' * 200}" for n in range(128)]).matches("a/b")


def test_the_digest_follows_the_choice() -> None:
    """A look re-matches documents when, and only when, the choice could have changed."""
    digests = {
        _selection().digest,
        _selection(("a",)).digest,
        _selection((), ("a",)).digest,
        _selection(("a", "b")).digest,
        _selection(("b", "a")).digest,
        GlobSelection((), (), _text_only, "v2").digest,
    }
    assert len(digests) == 6
    assert _selection(("a",)).digest == GlobSelection(("a",), (), _text_only, "v2").digest == _selection(("a",)).digest


def test_it_is_the_port() -> None:
    """Connectors get what the port says."""
    selection: Selection = _selection()
    assert selection.digest.startswith("sha256:")


def test_git_agrees(tmp_path: Path) -> None:
    """The words mean what `git check-ignore` says they mean."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, capture_output=True)
    uris = [f"{a}/{b}" for a in ("docs", "a", "x y") for b in ("a.md", "b.txt", "docs", "é.md")] + ["a.md", "docs/a/b/c.md"]
    for pattern in (
        "docs",
        "docs/",
        "/docs",
        "docs/**",
        "*.md",
        "a/*.md",
        "**/a.md",
        "docs/**/c.md",
        "?.txt",
        "[ab].*",
        "a/docs",
        "é.md",
        r"\a.md",
        "x y/",
        "docs/*",
        "**/b/**",
    ):
        (tmp_path / ".gitignore").write_text(pattern + "\n", "utf-8")
        asked = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"],
            check=False,
            input="\n".join(uris).encode(),
            capture_output=True,
        )
        assert {u for u in uris if PatternList([pattern]).matches(u)} == set(asked.stdout.decode().splitlines()), pattern
