"""The HTTP application, put together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import anyio
import anyio.to_thread
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from trueup.errors import CatalogError, TrueupError
from trueup.gate.deps import Gate
from trueup.gate.hooks import HookCounts
from trueup.gate.refusals import Refusals
from trueup.ports import Upkeep
from trueup.surfaces.http import answers, hooks, lists, operations, problems, resources
from trueup.surfaces.http.admission import Admission
from trueup.surfaces.http.auditing import Auditing
from trueup.surfaces.http.limits import Limits
from trueup.surfaces.http.metrics import Metrics

_FLUSH_SECONDS = 5.0
"""How often refusals of past minutes are written."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surface:
    """What the HTTP edge works with.

    Attributes:
        ready: more that must hold before requests are welcome; each raises `TrueupError` if it does not.
        upkeep: keeps the index, where that is in this process; None: its calls are 404.
        closing: set it to end open event streams, before the server is told to stop.
        resources: whether resources are declared here; in a cluster they are not, and their paths lead nowhere.
    """

    gate: Gate
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    refusals: Refusals = field(default_factory=Refusals)
    hooks: HookCounts = field(default_factory=HookCounts)
    ready: tuple[Callable[[], None], ...] = ()
    upkeep: Upkeep | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    resources: bool = True


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
