"""One hierarchy of errors. The docstring is the message; `str()` fills in what was given.

Messages never hold document text, queries, tokens or secrets: they may be logged and shown in status.
"""

from __future__ import annotations


class TrueupError(Exception):
    """Something failed inside Trueup."""

    reason = "Internal"

    def __init__(self, message: str | None = None, **fields: object) -> None:
        text = message if message is not None else (self.__doc__ or "").strip().split("\n", 1)[0]
        super().__init__(text.format(**fields) if fields else text)


# --- of a source ---------------------------------------------------------------------------------------------------


class SourceError(TrueupError):
    """The source could not be read."""

    reason = "FetchFailed"


class SourceUnavailable(SourceError):
    """The source is out of reach: {why}."""


class SourceTimeout(SourceError):
    """The source did not answer within {seconds:g} s."""


class SourceDenied(SourceError):
    """The source refused us: {why}. Check its credentials and what they may read."""


class SourceMisconfigured(SourceError):
    """The source cannot be read as declared: {why}."""

    reason = "Misconfigured"


class ListingBroken(SourceError):
    """The listing broke off before its end, so nothing can be concluded from it."""


class VersionGone(SourceError):
    """The document is no longer there at the version that was asked for."""

    reason = "VersionGone"


class TooLarge(SourceError):
    """The document is larger than the {limit} bytes that limits.maxDocumentBytes allows."""

    reason = "TooLarge"


# --- of the catalog and the index ----------------------------------------------------------------------------------


class CatalogError(TrueupError):
    """The catalog could not be read or written."""

    reason = "CatalogUnavailable"


class EpochLost(CatalogError):
    """The source's epoch moved on: this pass is from before a delete or a takeover, and its write is void."""

    reason = "EpochLost"


class IndexFailure(TrueupError):
    """The index did not do what was asked: {why}."""

    reason = "IndexWriteFailed"


class EmbeddingError(TrueupError):
    """The embedding model failed: {why}."""

    reason = "EmbeddingFailed"


class HomeLocked(TrueupError):
    """Another process serves {home}. Stop it first, or use another --home."""

    reason = "HomeLocked"


# --- of the Kubernetes API server ------------------------------------------------------------------------------------


class ClusterError(TrueupError):
    """The Kubernetes API server did not do what was asked: {why}."""

    reason = "ClusterUnavailable"


class ObjectGone(ClusterError):
    """There is no such object in the cluster."""

    reason = "NotFound"


class ObjectConflict(ClusterError):
    """The object was changed since it was read, or there is one of this name already."""

    reason = "Conflict"


class ClusterForbidden(ClusterError):
    """The Kubernetes API server refused: {why}. See that the roles of manifests/base are applied and bound."""

    reason = "ClusterForbidden"


class LeaseLost(CatalogError):
    """This process is not the operator any more: another one holds the Lease, or it could not be renewed in time."""

    reason = "LeaseLost"


# --- of a request ---------------------------------------------------------------------------------------------------


class RequestError(TrueupError):
    """The request cannot be served. Carries an HTTP status and a problem type."""

    status = 400


class Unauthenticated(RequestError):
    """A valid bearer token is needed."""

    status = 401
    reason = "Unauthenticated"


class Forbidden(RequestError):
    """This caller may not do this."""

    status = 403
    reason = "Forbidden"


class NotFound(RequestError):
    """There is nothing here for this caller."""

    status = 404
    reason = "NotFound"


class Conflict(RequestError):
    """The object changed, or another one has this name."""

    status = 409
    reason = "Conflict"


class TooMuch(RequestError):
    """The body is larger than {limit} bytes."""

    status = 413
    reason = "TooLarge"


class Invalid(RequestError):
    """The request is not valid: {why}."""

    status = 422
    reason = "Invalid"


class TooMany(RequestError):
    """Too many requests are in flight. Try again after the time in Retry-After."""

    status = 429
    reason = "TooManyRequests"


class Denied(RequestError):
    """The decision could not be made, so the answer is no."""

    status = 503
    reason = "Denied"
