"""What every route needs of its request: the caller, and the surface it is part of."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from trueup.errors import Forbidden, NotFound
from trueup.gate.deps import Gate
from trueup.model.principal import Caller, Role
from trueup.surfaces.http.surface import Surface

_bearer = HTTPBearer(auto_error=False, description="A token made by `trueup token`, or one that the cluster's identity provider issued.")
"""Says in OpenAPI what `Admission` has long checked."""


def surface(request: Request) -> Surface:
    """The surface that the request came to."""
    found: Surface = request.app.state.surface
    return found


async def gate(request: Request) -> Gate:
    """Its gate."""
    return surface(request).gate


async def _caller(request: Request, _: Annotated[object, Depends(_bearer)]) -> Caller:
    found: Caller = request.state.caller
    return found


CallerOf = Annotated[Caller, Depends(_caller)]
GateOf = Annotated[Gate, Depends(gate)]


async def operator(caller: CallerOf) -> Caller:
    """The caller, if it operates the installation.

    Raises:
        NotFound: it does not; the same answer as for what is not there.
    """
    if not caller.operator:
        raise NotFound
    return caller


async def auditor(caller: CallerOf) -> Caller:
    """The caller, if it may read the audit log.

    Raises:
        Forbidden: it may not.
    """
    if caller.agent is not None or not caller.roles & {Role.AUDITOR, Role.OPERATOR}:
        raise Forbidden
    return caller


OperatorOf = Annotated[Caller, Depends(operator)]
OPERATOR = Depends(operator)
AUDITOR = Depends(auditor)
"""For routes that need the role and not the name."""


def answer(value: Any, status: int = 200) -> Response:
    """`value` as JSON."""
    return JSONResponse(value, status)


def recorded(request: Request) -> None:
    """Say that the gate has put this request on the audit log itself."""
    request.state.recorded = True
