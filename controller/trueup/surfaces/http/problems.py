"""Errors as RFC 9457 problems. One answer for forbidden and absent: nothing in it depends on what was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from trueup.errors import Denied, Invalid, NotFound, RequestError, TooMany, TrueupError, Unauthenticated

_TYPE = "urn:trueup:problem:"
_SHOWN = 5
"""Problems of one body that are told at most: who sends more than these mends them in turns."""


class TooSlow(RequestError):
    """The body did not arrive within {seconds:g} s."""

    status = 408
    reason = "Timeout"


class MethodNotAllowed(RequestError):
    """This path has no such method."""

    status = 405
    reason = "MethodNotAllowed"


def problem(error: RequestError, headers: Mapping[str, str] | None = None) -> Response:
    """The response to a request that cannot be served."""
    body = {"type": _TYPE + error.reason, "title": error.reason, "status": error.status, "detail": str(error)}
    made = dict(headers or {})
    if isinstance(error, Unauthenticated):
        made["WWW-Authenticate"] = 'Bearer realm="trueup"'
    if isinstance(error, TooMany):
        made["Retry-After"] = "1"
    return Response(json.dumps(body), error.status, made, media_type="application/problem+json")


def failed(request: Request, _: Exception) -> Response:
    """The handler of what nobody foresaw: no answer is the safe one. The server logs the error itself."""
    return answered_with(request, Denied())


def answered(request: Request, error: Exception) -> Response:
    """The handler of every error of ours: what fails inside is a denial, and says nothing of why."""
    if not isinstance(error, TrueupError):
        raise error
    request.state.refused = error.reason
    return problem(error if isinstance(error, RequestError) else Denied())


def unroutable(request: Request, error: Exception) -> Response:
    """The handler of what the router itself refuses."""
    if not isinstance(error, HTTPException):
        raise error
    headers = error.headers
    if error.status_code == MethodNotAllowed.status:
        return answered_with(request, MethodNotAllowed(), headers)
    return answered_with(request, NotFound() if error.status_code == NotFound.status else Invalid(why=str(error.detail)))


def malformed(request: Request, error: Exception) -> Response:
    """The handler of a body or query string that does not fit; names the places, never the values."""
    if not isinstance(error, RequestValidationError):
        raise error
    return answered_with(request, Invalid(why="; ".join(_told(one) for one in error.errors()[:_SHOWN])))


def answered_with(request: Request, error: RequestError, headers: Mapping[str, str] | None = None) -> Response:
    """The response to `error`, noted for the audit log."""
    request.state.refused = error.reason
    return problem(error, headers)


def _told(one: Mapping[str, Any]) -> str:
    if one["type"] == "json_invalid":
        return str(one["ctx"]["error"])
    place = ".".join(str(part) for part in one["loc"])
    return f"{place[:128]}: {one['msg']}" if place else str(one["msg"])
