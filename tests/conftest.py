"""Fixtures that any test may take; nothing is started until one does."""

from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
