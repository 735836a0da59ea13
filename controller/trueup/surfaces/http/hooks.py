"""Hook calls: always answered alike, so that nobody learns which sources there are or what a good signature is."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request, Response

from trueup.gate import hooks
from trueup.surfaces.http.asking import GateOf, answer, surface

router = APIRouter(prefix="/v1/hooks", tags=["hooks"])


@router.post("/{namespace}/{name}", status_code=202)
async def post_hook(request: Request, namespace: Annotated[str, Path()], name: Annotated[str, Path()], gate: GateOf) -> Response:
    """Say that a source may have changed. Signed with the source's own secret: `X-Trueup-Signature: sha256=<hmac of the
    body>`, or GitHub's, GitLab's or Gitea's own header.
    """
    body = await request.body()
    await run_sync(hooks.call, gate, surface(request).hooks, namespace, name, dict(request.headers), body)
    return answer({"status": "accepted"}, 202)
