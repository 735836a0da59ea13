"""The rows: what happens, and what must hold. Each module registers its functions; importing this package registers all."""

from tests.scenarios.rows import authority, changes, contents, kills, outages, restarts

__all__ = ["authority", "changes", "contents", "kills", "outages", "restarts"]
