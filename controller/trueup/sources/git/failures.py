"""What a Git server, or the way to it, can fail with, as errors of a source."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from dulwich.client import HTTPUnauthorized
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository

from trueup.errors import SourceDenied, SourceError, SourceTimeout, SourceUnavailable
from trueup.sources.deadline import Deadline

_DENIED = "its server does not accept the credentials, or wants some"


class Status(GitProtocolError):
    """An HTTP answer that is not 200."""

    def __init__(self, code: int) -> None:
        super().__init__(f"HTTP {code}")
        self.code = code


def _answer(code: int) -> SourceError:
    if code in (401, 403):
        return SourceDenied(why=_DENIED)
    if code in (404, 410):
        return SourceUnavailable(why=f"its server knows no such repository (HTTP {code}), or hides it from these credentials")
    return SourceUnavailable(why=f"its server answers HTTP {code}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        yield from (argument for argument in seen.args if isinstance(argument, BaseException))
        reason = getattr(seen, "reason", None)
        if isinstance(reason, BaseException):
            yield reason
        seen = seen.__cause__ or seen.__context__


def _named(cause: BaseException) -> SourceError | None:  # noqa: PLR0911 - a table
    """What one exception says by itself; None if nothing that a reader could act on."""
    match cause:
        case SourceError():
            return cause
        case Status():
            return _answer(cause.code)
        case HTTPUnauthorized():
            return _answer(401)
        case NotGitRepository():
            return _answer(404)
        case ssl.SSLError():
            return SourceUnavailable(why="its server's TLS certificate or handshake does not hold")
        case OSError() if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return SourceUnavailable(why="there is no room left on the disk for its cache")
        case HangupException():
            return SourceUnavailable(why="its server breaks off, as it does when it does not have the commit that is asked for")
        case GitProtocolError() if "not our ref" in str(cause):
            return SourceUnavailable(why="its server does not have, or does not give, the commit that is asked for")
    return None


def _explained(error: Exception) -> SourceError:
    found = next(filter(None, map(_named, _causes(error))), None)
    return found or SourceUnavailable(why="its server breaks off or does not speak Git as it should")


@contextmanager
def explained(deadline: Deadline) -> Iterator[None]:
    """Turn whatever goes wrong in talking to a server into an error of the source.

    A hostile or broken server can make the client fail in ways that no list of exceptions holds; none of them says anything
    about the documents, so each is an outage, with what happened as its cause.
    """
    try:
        yield
    except (SourceTimeout, MemoryError):
        raise
    except Exception as error:
        if deadline.expired:
            raise deadline.error from error
        raise _explained(error) from error
