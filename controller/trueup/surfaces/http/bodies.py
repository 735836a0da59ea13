"""What callers send. A field that is not declared is refused; nothing is clamped."""

from __future__ import annotations

import enum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr, StringConstraints, model_validator

from trueup.model.times import parse_rfc3339

SourceName = Annotated[StrictStr, StringConstraints(max_length=318, pattern=r"^[^/\x00-\x1f\x7f]+/[^/\x00-\x1f\x7f]+$")]
"""`namespace/name`."""
ChunkId = Annotated[StrictStr, StringConstraints(max_length=36, pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
PathPattern = Annotated[StrictStr, StringConstraints(min_length=1, max_length=512)]


def _is_time(text: str) -> str:
    parse_rfc3339(text)
    return text


Time = Annotated[StrictStr, StringConstraints(max_length=40), AfterValidator(_is_time), Field(json_schema_extra={"format": "date-time"})]


class Body(BaseModel):
    """Strict: no unknown member, no silent conversion, no value repeated in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Filter(Body):
    """Narrows a query. Nothing here can widen what the caller may read."""

    paths: Annotated[tuple[PathPattern, ...], Field(min_length=1, max_length=100)] | None = None
    """gitignore-style patterns of documents' uris; one of them must match."""
    modified_after: Time | None = None
    """RFC 3339; only documents that their origin says were modified later."""


class RetrieveBody(Body):
    """A query."""

    query: Annotated[StrictStr, StringConstraints(min_length=1, max_length=8192)]
    """What is asked, in plain text."""
    top_k: Annotated[StrictInt, Field(ge=1, le=100)] = 8
    """The most results."""
    max_tokens: Annotated[StrictInt, Field(ge=1, le=100_000)] = 4000
    """The most tokens of text in all results together; counted as a third of the UTF-8 bytes."""
    sources: Annotated[tuple[SourceName, ...], Field(min_length=1, max_length=100)] | None = None
    """`namespace/name` of the sources to search; all that the caller can see if left out."""
    filter: Filter | None = None
    """Narrows by path and time."""


class VerifyBody(Body):
    """What to look at again: a receipt, or chunks."""

    receipt: Annotated[StrictStr, StringConstraints(min_length=1, max_length=32 * 1024)] | None = None
    """The receipt of an answer."""
    chunks: Annotated[tuple[ChunkId, ...], Field(min_length=1, max_length=100)] | None = None
    """Ids of chunks."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.receipt is None) == (self.chunks is None):
            raise ValueError("give either receipt or chunks")
        return self


class Mode(enum.StrEnum):
    """How an answer is replayed."""

    AS_RECORDED = "as-recorded"
    RE_VERIFY = "re-verify"
    RE_RUN = "re-run"


class ReplayBody(Body):
    """How to replay."""

    mode: Mode = Mode.AS_RECORDED
    """as-recorded shows what was delivered, re-verify what of it would be delivered now, re-run asks again."""


class RevocationBody(Body):
    """What to refuse from now on: one token, or all of a user's issued until now."""

    token: Annotated[StrictStr, StringConstraints(min_length=1, max_length=256)] | None = None
    """A token's id (jti)."""
    user: Annotated[StrictStr, StringConstraints(min_length=1, max_length=512)] | None = None
    """A user's name."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.token is None) == (self.user is None):
            raise ValueError("give either token or user")
        return self
