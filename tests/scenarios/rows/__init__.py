"""The rows: what happens, and what must hold. Each module registers its functions; importing this package registers all."""

from tests.scenarios.rows import attacks, changes, contents, identity, kills, outages, restarts

__all__ = ["attacks", "changes", "contents", "identity", "kills", "outages", "restarts"]
