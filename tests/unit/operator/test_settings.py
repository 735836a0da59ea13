"""Settings of operator and gate: from the environment, secrets from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.cluster_settings import ClusterSettings, Missettled


def test_the_defaults(tmp_path: Path) -> None:
    """With a home alone everything is embedded below it."""
    made = ClusterSettings.of({"TRUEUP_HOME": str(tmp_path)})
    assert (made.catalog, made.index) == (f"sqlite:///{tmp_path}/catalog.db", f"edge://{tmp_path}/index")
    assert (made.audience, made.issuer, made.roots, made.namespaces) == ("trueup", None, (), ())
    assert (made.lease, made.port, made.metrics_port) == (("trueup-system", "trueup-operator"), 8480, 9480)


def test_a_secret_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    """`…_FILE` wins, its newline is none of its, and no representation of the settings holds it."""
    (tmp_path / "url").write_text("postgresql://operator:hunter2@db/trueup\n")
    (tmp_path / "key").write_text("sesame")
    made = ClusterSettings.of(
        {"TRUEUP_CATALOG_FILE": str(tmp_path / "url"), "TRUEUP_INDEX": "https://qdrant:6333", "TRUEUP_INDEX_KEY_FILE": str(tmp_path / "key")}
    )
    assert (made.catalog, made.index_key) == ("postgresql://operator:hunter2@db/trueup", "sesame")
    assert "hunter2" not in repr(made)
    assert "sesame" not in repr(made)


@pytest.mark.parametrize("url", ["sqlite:///srv/x.db", "sqlite:////srv/x.db"])
def test_a_path_is_absolute_with_three_slashes_or_four(url: str) -> None:
    """As in any URL, and as SQLAlchemy has it."""
    assert ClusterSettings.of({"TRUEUP_CATALOG": url}).catalog in {"sqlite:////srv/x.db", "sqlite:///srv/x.db"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CATALOG", "mysql://x"),
        ("INDEX", "redis://x"),
        ("ALLOW_ROOTS", "docs"),
        ("NAMESPACES", "a,B"),
        ("LEASE", "trueup-operator"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("CATALOG_FILE", "/does/not/exist"),
    ],
)
def test_what_is_not_valid_is_named(name: str, value: str) -> None:
    """One sentence with the variable's name, and not with its value where that may be a secret."""
    with pytest.raises(Missettled, match=f"TRUEUP_{name}"):
        ClusterSettings.of({f"TRUEUP_{name}": value})


def test_a_service_of_that_name_is_no_port() -> None:
    """Kubernetes sets TRUEUP_PORT=tcp://… beside a Service named trueup."""
    assert ClusterSettings.of({"TRUEUP_PORT": "tcp://10.0.0.1:8480"}).port == 8480
