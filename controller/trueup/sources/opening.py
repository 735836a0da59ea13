"""What a connector is given to open a source with, and the check of paths against the allowed roots."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.errors import SourceMisconfigured

if TYPE_CHECKING:
    from trueup.cluster.api import Api  # its client library is an extra


@dataclass(frozen=True, slots=True)
class OpenContext:
    """The installation's side of opening one source.

    Attributes:
        allowed_roots: folders in which a path, or a git URL that is a path, must lie.
        forbidden: folders that are never read, wherever they are (TRUEUP_HOME).
        cache_dir: a folder for this source alone, made when needed; whatever is in it may be deleted at any time.
        timeout: seconds for one call to the source (`spec.timeout`).
        in_cluster: whether loopback addresses are out of bounds.
        credentials: a folder of files named by key (`username`, `password`, `token`, `identity`, `known_hosts`, `ca.crt`), or None.
        namespace: the source's own; what it names in a cluster lies there.
        cluster: the connection to the API server; None where there is no cluster.
        shared: what the connectors of one kind share in this process, by a name of theirs: few things of which a system has few.
    """

    allowed_roots: tuple[Path, ...]
    forbidden: tuple[Path, ...]
    cache_dir: Path
    timeout: float = 60.0
    in_cluster: bool = False
    credentials: Path | None = None
    namespace: str = "default"
    cluster: Api | None = None
    shared: dict[str, object] = field(default_factory=dict)


def within_roots(path: Path, context: OpenContext) -> None:
    """Let `path` pass only if, with every link followed, it lies in an allowed root and not in a forbidden folder.

    Raises:
        SourceMisconfigured: it does not.
    """
    if not path.is_absolute():
        raise SourceMisconfigured(why="its path is relative; write it from / on")
    place = Path(os.path.realpath(path))
    if any(place.is_relative_to(os.path.realpath(folder)) for folder in context.forbidden):
        raise SourceMisconfigured(why="its path lies in Trueup's own home, which is never a source; name another folder")
    if not any(place.is_relative_to(os.path.realpath(root)) for root in context.allowed_roots):
        raise SourceMisconfigured(why="its path lies outside the allowed roots; move it into one, or serve with --allow-root for it")


def secret(credentials: Path | None, key: str) -> str | None:
    """The value of one key of a source's credentials, without the newline that editors add; None if it has none.

    Raises:
        SourceMisconfigured: it cannot be read.
    """
    if credentials is None:
        return None
    try:
        return (credentials / key).read_text().rstrip("\r\n") or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceMisconfigured(why=f"the key {key} of its Secret cannot be read") from error
