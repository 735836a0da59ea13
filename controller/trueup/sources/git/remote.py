"""A repository on a server: its refs, and packs from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from dulwich.objects import ObjectID

from trueup.errors import SourceError, SourceMisconfigured
from trueup.sources.deadline import Deadline
from trueup.sources.git import ssh
from trueup.sources.git.bounds import Bounds, Meter
from trueup.sources.git.failures import explained
from trueup.sources.git.http import HttpClient
from trueup.sources.git.reference import Reference
from trueup.sources.opening import OpenContext


@dataclass(frozen=True, slots=True)
class Wish:
    """What to fetch.

    Attributes:
        wants: commits.
        haves: commits of which everything but the ancestors is here already.
        depth: generations of commits from each want on.
        bare: commits without their content will do, where the server can leave it out.
    """

    wants: tuple[bytes, ...]
    haves: tuple[bytes, ...] = ()
    depth: int = 1
    bare: bool = False


class _Walker:
    """Tells the server what we have, in the form that dulwich asks for it."""

    def __init__(self, haves: Sequence[bytes]) -> None:
        self.shallow = set(haves)
        self._left = list(haves)

    def __next__(self) -> ObjectID | None:
        return ObjectID(self._left.pop()) if self._left else None

    def ack(self, sha: ObjectID) -> None:
        """Nothing to do: everything that we have is told in one go."""

    def nak(self) -> None:
        """As for ack."""


class Remote:
    """A repository behind http, https or ssh."""

    def __init__(self, url: str, context: OpenContext, bounds: Bounds) -> None:
        self._url = url
        self._context = context
        self._bounds = bounds
        self._tags: dict[bytes, bytes] = {}

    def tip(self, reference: Reference, deadline: Deadline) -> bytes:
        """The commit that `reference` names there now.

        Raises:
            SourceError: the server could not be asked, or has no such ref.
        """
        prefixes = [reference.name] if reference.name is not None else [b"HEAD"]
        with self._client(deadline, Meter(self._bounds)) as (client, path):
            result = client.get_refs(path, ref_prefix=prefixes)
        if result.object_format not in (None, "sha1"):
            raise SourceMisconfigured(why="its repository names objects by sha256, which is not read from servers")
        refs = {bytes(name): sha for name, sha in result.refs.items()}
        commit = reference.among(refs)
        # A server of the old protocol gives what its refs name and nothing else: the tag, not the commit it is about.
        self._tags = {commit: refs.get(reference.name or b"") or commit}
        return commit

    def fetch(self, wish: Wish, pack: BinaryIO, deadline: Deadline) -> None:
        """Write a pack with what is wished for into `pack`.

        Raises:
            SourceError: the server could not be asked, refuses, or sends too much.
        """
        meter = Meter(self._bounds)

        def keep(data: bytes) -> int:
            meter.pack(len(data))
            return pack.write(data)

        def wants(refs: object, depth: int | None = None) -> list[bytes]:
            del refs, depth
            return [self._tags.get(want, want) for want in wish.wants]

        with self._client(deadline, meter) as (client, path):
            client.fetch_pack(path, wants, _Walker(wish.haves), keep, depth=wish.depth, ref_prefix=[b"HEAD"], filter_spec=b"tree:0" if wish.bare else None)

    @contextmanager
    def _client(self, deadline: Deadline, meter: Meter) -> Iterator[tuple[Any, str]]:
        if self._url.startswith(("http://", "https://")):
            with closing(HttpClient(self._url, self._context, deadline, meter)) as client, explained(deadline):
                yield client, ""
            return
        vendor = ssh.Vendor(self._context, deadline, meter)
        try:
            with closing(ssh.SshClient(self._url, vendor)) as client, explained(deadline):
                yield client, client.path
        except SourceError as error:
            if not deadline.expired and (better := vendor.explained()) is not None:
                raise better from error
            raise
