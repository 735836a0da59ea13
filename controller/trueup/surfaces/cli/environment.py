"""What the surroundings tell a command: the home, the server's address and who asks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from trueup.surfaces.cli.failure import Misused

DEFAULT_URL = "http://127.0.0.1:8480"
DEFAULT_HOME = ".trueup"


@dataclass(frozen=True, slots=True)
class Environment:
    """The three variables that every command reads.

    Attributes:
        home: TRUEUP_HOME, `./.trueup` where it is not set; absolute.
        url: TRUEUP_URL without a trailing slash.
        token: TRUEUP_TOKEN; None lets the owner of the home act.
    """

    home: Path
    url: str
    token: str | None

    @property
    def local(self) -> bool:
        """Whether the server is on this machine's loopback, so that an owner's token may be sent to it."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def environment() -> Environment:
    """The environment of this process.

    Raises:
        Misused: TRUEUP_URL is no URL of a server.
    """
    url = (os.environ.get("TRUEUP_URL") or DEFAULT_URL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misused(f"TRUEUP_URL must be the address of a server, such as {DEFAULT_URL}.")
    home = Path(os.environ.get("TRUEUP_HOME") or DEFAULT_HOME).absolute()
    return Environment(home, url, os.environ.get("TRUEUP_TOKEN", "").strip() or None)
