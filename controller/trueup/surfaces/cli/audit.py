"""`audit`: the log of what was asked, decided and changed: is it whole, and what does it say."""

from __future__ import annotations


def verify() -> None:
    """V."""


def export() -> None:
    """E."""
