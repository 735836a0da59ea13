"""What decides how long an answer lies about: the listening socket, and the turns that threads take."""

import asyncio
import socket
import sys

import pytest

from trueup.surfaces.http import server
from trueup.surfaces.http.app import create_app
from trueup.surfaces.http.server import bind
from trueup.surfaces.http.surface import Surface


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_the_acknowledgement_of_its_headers(host: str) -> None:
    """Connections send at once: with Nagle's algorithm each answer took 40 ms more, however little was asked."""
    if host == "::1" and not _has_ipv6():
        host = "127.0.0.1"

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            await writer.wait_closed()

        listener = bind(host, 0)
        async with await asyncio.start_server(serve, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            told = await found
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        return told

    assert asyncio.run(accepted())


def test_threads_take_short_turns_while_requests_are_served(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy thread does not hold a request up each time that it goes from one thread to the next; afterwards all is as before."""
    before, during = sys.getswitchinterval(), []
    monkeypatch.setattr(server._Server, "run", lambda _, sockets: during.append(sys.getswitchinterval()))
    with bind("127.0.0.1", 0) as listener:
        server.run(create_app(surface), listener, lambda: None, surface.closing)
    assert during == [pytest.approx(server.TURN)]
    assert sys.getswitchinterval() == before


def _has_ipv6() -> bool:
    try:
        bind("::1", 0).close()
    except OSError:
        return False
    return True
