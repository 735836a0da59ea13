"""The owner of a home: whoever can read its keys operates it, as the user `owner` with the role operator."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trueup.model.principal import Role

OWNER = "owner"
TTL_SECONDS = 300.0
"""Short, because nobody keeps it: a command that runs for longer (`wait`, `get -w`) makes a new one at half of this."""


class Wall:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class OwnerToken:
    """A token of the owner of `home`, made when first asked for and again before it runs out."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._made: tuple[str, float] | None = None

    def __call__(self) -> str | None:
        """The token; None where the home has no keys, which a command that only asks does not make.

        Raises:
            TrueupError: the keys cannot be used.
        """
        now = time.monotonic()
        if self._made is None or now - self._made[1] > TTL_SECONDS / 2:
            if not (self._home / "keys").is_dir():
                return None
            from trueup.model.principal import Role

            self._made = mint_token(self._home, OWNER, roles=[Role.OPERATOR], ttl=TTL_SECONDS), now
        return self._made[0]


def mint_token(home: Path, user: str, *, groups: Collection[str] = (), agent: str | None = None, roles: Collection[Role] = (), ttl: float) -> str:
    """A token for `ttl` seconds, signed with the keys of `home`, which are made where there are none.

    Raises:
        TrueupError: the keys cannot be used, or a name or the ttl is refused.
    """
    from trueup.gate.identity import mint
    from trueup.gate.keys import Keys

    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return mint(Keys.load(home / "keys").token, Wall(), user, groups=groups, agent=agent, roles=roles, ttl=ttl)
