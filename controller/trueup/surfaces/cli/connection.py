"""From the environment to a client of its server, and what commands say in terms of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from trueup.surfaces.cli.environment import environment
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.owner import OwnerToken
from trueup.surfaces.cli.screen import line

if TYPE_CHECKING:
    from trueup.surfaces.cli.client import Api

T = TypeVar("T")


def path(*parts: str) -> str:
    """A path of the API from its parts, each quoted."""
    return "/" + "/".join(quote(p, safe="") for p in parts)


def connect() -> Api:
    """A client of the environment's server: as TRUEUP_TOKEN says, else as the owner of the home.

    The owner's token is made only for a server on loopback: no other machine can be meant to accept this home's keys.

    Raises:
        Failed: the server is elsewhere and no token is given.
    """
    from trueup.surfaces.cli.client import Api

    where = environment()
    if where.token is not None:
        return Api(where, lambda: where.token)
    if not where.local:
        raise Failed(f"TRUEUP_URL names another machine ({line(where.url)}): set TRUEUP_TOKEN to a token made there with `trueup token`.")
    return Api(where, OwnerToken(where.home))


def found(fetch: Callable[[], T]) -> T | None:
    """What `fetch` returns, or None where the server says that there is no such thing.

    Raises:
        Failed: it failed for another reason.
    """
    try:
        return fetch()
    except Failed as failure:
        if failure.status == 404:
            return None
        raise
