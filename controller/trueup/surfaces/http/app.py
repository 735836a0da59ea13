"""The HTTP application, put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

import anyio
import anyio.to_thread
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from trueup.errors import CatalogError, TrueupError
from trueup.surfaces.http import answers, hooks, lists, operations, problems, resources
from trueup.surfaces.http.admission import Admission
from trueup.surfaces.http.auditing import Auditing
from trueup.surfaces.http.surface import Surface

_FLUSH_SECONDS = 5.0
"""How often refusals of past minutes are written."""

_log = structlog.get_logger(__name__)


def create_app(surface: Surface) -> FastAPI:
    """The application over `surface`. Its lifespan writes what is still to be written of refusals."""
    app = FastAPI(title="Trueup", version=version("trueup"), docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_lifespan)
    app.state.surface = surface
    for router in (answers.router, lists.router, hooks.router, operations.router, *([resources.router] if surface.resources else [])):
        app.include_router(router)
    app.add_exception_handler(TrueupError, problems.answered)
    app.add_exception_handler(Exception, problems.failed)
    app.add_exception_handler(HTTPException, problems.unroutable)
    app.add_exception_handler(RequestValidationError, problems.malformed)
    # The last one added is the outermost.
    app.add_middleware(Auditing, gate=surface.gate)
    app.add_middleware(Admission, gate=surface.gate, limits=surface.limits, refusals=surface.refusals, seen=surface.metrics.refused)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    surface: Surface = app.state.surface
    # One thread for each request that may be in flight: callers who wait for a slow source hold up nobody else.
    anyio.to_thread.current_default_thread_limiter().total_tokens = surface.limits.in_flight
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_flushing, surface)
        yield
        tasks.cancel_scope.cancel()
    surface.closing.set()
    surface.refusals.flush(surface.gate.store, float("inf"))


async def _flushing(surface: Surface) -> None:
    while True:
        await anyio.sleep(_FLUSH_SECONDS)
        try:
            await anyio.to_thread.run_sync(surface.refusals.flush, surface.gate.store, surface.gate.clock.now())
        except CatalogError as error:
            # The counts are kept; the next turn writes them.
            _log.warning("refusals not written", reason=error.reason)
