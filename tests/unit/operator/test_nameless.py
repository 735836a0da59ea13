"""The operator as the user of a pod, who has a number and no name."""

from __future__ import annotations

import getpass

import pytest

from trueup.cluster.api import Credentials
from trueup.operator.watching import Watching


class Nothing:
    """A feed that nothing comes to."""

    def offer(self, found: dict[str, object], *, gone: bool = False) -> None:
        raise AssertionError

    def delete(self, uid: str, *, retain: bool) -> None:
        raise AssertionError


def test_a_user_without_a_name_can_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf asks for the name of its user unless it is told who it is; in the image there is none."""
    asked: list[str] = []

    def nobody() -> str:
        asked.append("name")
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", nobody)
    # A server that is not there: it comes up, and goes on trying.
    watching = Watching(Nothing(), lambda: Credentials("https://127.0.0.1:9", None, verify=False), ["default"])
    watching.start()
    try:
        assert watching.alive
        assert asked == []
    finally:
        watching.stop()
