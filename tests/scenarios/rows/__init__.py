"""The rows: what happens, and what must hold. Each module registers its functions; importing this package registers all."""

from tests.scenarios.rows import changes, outages

__all__ = ["changes", "outages"]
