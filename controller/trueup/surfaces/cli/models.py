"""`models`: embedding models on this machine."""

from __future__ import annotations


def install() -> None:
    """I."""


def list_models() -> None:
    """L."""


def installed() -> list[str]:
    """N."""
    return []
