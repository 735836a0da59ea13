"""Git over the system's ssh, with nothing left to a configuration file, a prompt or the URL."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from dulwich.client import SSHGitClient, SSHVendor, SubprocessWrapper
from dulwich.protocol import Protocol

from trueup.errors import SourceDenied, SourceError, SourceUnavailable
from trueup.sources.deadline import Deadline
from trueup.sources.git.bounds import Meter
from trueup.sources.network import Network
from trueup.sources.opening import OpenContext

_STRICT = {
    "BatchMode": "yes",  # no prompt ever
    "StrictHostKeyChecking": "yes",  # a host that is not known is not talked to
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "ProxyCommand": "none",
    "ProxyJump": "none",
    "PermitLocalCommand": "no",
    "CanonicalizeHostname": "no",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "UpdateHostKeys": "no",
    "Tunnel": "no",
    "ServerAliveInterval": "15",
}
_SAID = 4096


def split(url: str) -> tuple[str | None, str, int, str]:
    """User, host, port and path of `ssh://…` or `user@host:path`."""
    if url.startswith("ssh://"):
        parts = urlsplit(url)
        return parts.username, parts.hostname or "", parts.port or 22, parts.path
    place, _, path = url.partition(":")
    user, _, host = place.rpartition("@")
    return user or None, host, 22, path


class Vendor(SSHVendor):
    """Starts ssh for one call, to an address that was checked, and ends it at the deadline."""

    def __init__(self, context: OpenContext, deadline: Deadline, meter: Meter) -> None:
        self._credentials = context.credentials
        self._deadline = deadline
        self._network = Network(deadline, in_cluster=context.in_cluster)
        self._meter = meter
        self._said = bytearray()
        self._listening: threading.Thread | None = None

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        password: str | None = None,
        key_filename: str | None = None,
        ssh_command: str | None = None,
        protocol_version: int | None = None,
    ) -> SubprocessWrapper:
        """Run `command` on `host`. What dulwich would take from a configuration is not taken."""
        del password, key_filename, ssh_command, protocol_version
        address = self._network.addresses(host, port or 22)[0]
        arguments = self.arguments(host, port or 22, address)
        destination = f"{username}@{host}" if username else host
        process = subprocess.Popen(  # noqa: S603 - no shell; the host has passed the resource's rules and follows "--"
            ["ssh", *arguments, "--", destination, command],  # noqa: S607 - the system's ssh, wherever it is
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment(),
        )
        self._deadline.ends(process.kill)
        if process.stderr is not None:
            self._listening = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
            self._listening.start()
        return _Process(process, self._meter)

    def arguments(self, host: str, port: int, address: str) -> list[str]:
        """The options of ssh: strict, pinned to `address`, and known by the name that the host's key is filed under."""
        options = dict(_STRICT, HostName=address, HostKeyAlias=host if port == 22 else f"[{host}]:{port}", SetEnv="GIT_PROTOCOL=version=2")
        options["ConnectTimeout"] = str(max(1, int(self._deadline.remaining())))
        identity, known = self._file("identity"), self._file("known_hosts")
        if identity is not None:
            options |= {"IdentityFile": str(identity), "IdentitiesOnly": "yes", "IdentityAgent": "none"}
        if known is not None:
            options |= {"UserKnownHostsFile": str(known), "GlobalKnownHostsFile": "/dev/null"}
        written = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["-F", "/dev/null", "-T", "-a", "-x", "-p", str(port), *written]

    def _file(self, name: str) -> Path | None:
        if self._credentials is None:
            return None
        path = self._credentials / name
        return path if path.is_file() else None

    def _environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "USER", "LOGNAME") + (() if self._file("identity") else ("SSH_AUTH_SOCK",))
        return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}

    def _listen(self, stderr: IO[bytes]) -> None:
        """Keep the first of what ssh says, for the reason; and the pipe empty, or a talkative server would stop it."""
        while data := stderr.read(_SAID):
            self._said += data[: max(0, _SAID - len(self._said))]
        stderr.close()

    def explained(self) -> SourceError | None:
        """Why ssh failed, in our words: what it says is partly the server's, so it is not repeated."""
        if self._listening is not None:
            self._listening.join(1)
        said = bytes(self._said).lower()
        if b"host key" in said:
            return SourceDenied(why="its host key is not the known one, or none is known; put it under known_hosts in the Secret")
        if b"permission denied" in said or b"too many authentication failures" in said:
            return SourceDenied(why="its server accepts no key that we have; put one under identity in the Secret")
        if b"does not appear to be a git repository" in said or b"repository not found" in said or b"does not exist" in said:
            return SourceUnavailable(why="its server knows no such repository, or hides it from this key")
        return None


class _Process(SubprocessWrapper):
    """A running ssh, whose output is counted."""

    def __init__(self, process: subprocess.Popen[bytes], meter: Meter) -> None:
        super().__init__(process)
        plain = self.read

        def metered(size: int | None = -1, /) -> bytes:
            data: bytes = plain(size)
            meter.read(len(data))
            return data

        self.read = metered

    def close(self, timeout: int | None = 1) -> None:
        """End it: nothing more is wanted from it. stderr is closed by who reads it."""
        for stream in (self.proc.stdin, self.proc.stdout):
            if stream is not None:
                stream.close()
        try:
            self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


class SshClient(SSHGitClient):
    """A client for one call, which closes what it began even where a call fails half way."""

    def __init__(self, url: str, vendor: Vendor) -> None:
        user, host, port, self.path = split(url)
        super().__init__(host, port=port, username=user, vendor=vendor, thin_packs=True)
        self._begun: list[Protocol] = []

    def _connect(self, cmd: bytes, path: str | bytes, protocol_version: int | None = None) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        protocol, can_read, _ = super()._connect(cmd, path, protocol_version)
        self._begun.append(protocol)
        return protocol, can_read, None  # what it says beside the data is read by the vendor

    def close(self) -> None:
        """End what is still running."""
        for protocol in self._begun:
            protocol.close()
