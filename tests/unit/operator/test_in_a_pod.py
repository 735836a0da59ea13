"""The connection to the API server as a pod has it: by the files that the kubelet puts there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.config import incluster_config

from trueup.cluster.api import Api


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a service account, in a place of the test's own; returns the token's file."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first.pod.token")
    authority.write_text("certificates")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return token


def test_a_client_of_its_own_gets_the_token_and_nothing_around_it(account: Path) -> None:
    """kopf writes its own scheme before the token: one that had it twice was refused with 401."""
    known = Api.connect().credentials()
    assert (known.server, known.token, known.authority) == ("https://10.0.0.1:443", "first.pod.token", str(account.with_name("ca.crt")))


def test_a_token_that_was_renewed_is_the_one_that_is_given(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet writes a new one before the old one ends; whoever asks again gets that."""
    api = Api.connect()
    account.write_text("second.pod.token")
    later = SimpleNamespace(now=lambda: dt.datetime.fromisoformat("2100-01-01"))
    monkeypatch.setattr(incluster_config, "datetime", SimpleNamespace(datetime=later))
    assert api.credentials().token == "second.pod.token"
