"""JSON as the contract allows it: UTF-8, at most 32 deep, no key twice, finite numbers, no half of a surrogate pair."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

DEPTH = 32


class StrictRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """The body.

        Raises:
            json.JSONDecodeError: it is not JSON as the contract allows it.
        """
        return loads(await self.body())


class StrictRoute(APIRoute):
    """A route that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's handler, given a strict request."""
        handler = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            response: Response = await handler(StrictRequest(request.scope, request.receive))
            return response

        return strictly


def loads(data: bytes) -> Any:
    """The value in `data`.

    Raises:
        json.JSONDecodeError: for whatever the contract does not allow; the message holds nothing of `data`.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError:
        _refuse("the body is not UTF-8")
    except json.JSONDecodeError:
        _refuse("the body is not JSON")
    except RecursionError:
        _refuse(_TOO_DEEP)
    except ValueError as error:
        _refuse(str(error) if isinstance(error, _Refused) else "a number has too many digits")
    _walk(value, DEPTH)
    return value


_TOO_DEEP = f"the body is nested deeper than {DEPTH}"


class _Refused(ValueError):
    """Found while parsing."""


def _refuse(why: str) -> NoReturn:
    raise json.JSONDecodeError(why, "", 0)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Refused("a key stands twice in one object")
    return made


def _no_constant(_: str) -> NoReturn:
    raise _Refused("a number is not finite")


def _walk(value: Any, left: int) -> None:
    match value:
        case str():
            if any("\ud800" <= char <= "\udfff" for char in value) if not value.isascii() else False:
                _refuse("a text holds half of a surrogate pair")
        case float():
            if not math.isfinite(value):
                _refuse("a number is not finite")
        case dict() | list():
            if left == 0:
                _refuse(_TOO_DEEP)
            for part in (*value, *value.values()) if isinstance(value, dict) else value:
                _walk(part, left - 1)
