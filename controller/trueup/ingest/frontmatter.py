"""Front matter: what a document says of itself between two `---` lines at its very start."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from trueup.model.times import parse_rfc3339

_LIMIT = 16_384  # characters; libyaml takes 2 s for 16k nested brackets, hence the cap on those too
_BRACKETS = 512
_CLOSE = re.compile(r"^(?:---|\.\.\.)[ \t]*\r?$", re.MULTILINE)
_OPEN = re.compile(r"---[ \t]*\r?\n")
_MENTION = re.compile(r"\bexpires[\"']?[ \t]{0,32}:")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadExpiry(ValueError):
    """The front matter's `expires` cannot be read as an RFC 3339 time."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What was found.

    Attributes:
        end: where the body begins, in characters.
        expires_at: seconds since the epoch.
        values: the other top-level scalars, as they are written.
    """

    end: int
    expires_at: float | None
    values: dict[str, str]


def front_matter(text: str) -> FrontMatter | None:
    """The front matter of `text`, or None where it has none; a block that is no YAML mapping is plain text.

    Raises:
        BadExpiry: the block speaks of `expires` and its time cannot be known.
    """
    opened = _OPEN.match(text) if text.startswith("---") else None
    if opened is None:
        return None
    closed = _CLOSE.search(text, opened.end(), opened.end() + _LIMIT)
    if closed is None:
        # The first paragraph stands for the block whose end is missing: an author's slip must not make a document immortal.
        _refuse_mention(re.split(r"\n[ \t\r]*\n", text[opened.end() : opened.end() + _LIMIT], maxsplit=1)[0])
        return None
    block = text[opened.end() : closed.start()]
    try:
        pairs = _top_level(block)
    except (yaml.YAMLError, ValueError):
        _refuse_mention(block)
        return None
    if pairs is None:
        return None
    end = closed.end() + 1 if closed.end() < len(text) else closed.end()
    return FrontMatter(end, _expiry(pairs), {k: v for k, v in pairs if v is not None})


def _refuse_mention(block: str) -> None:
    if _MENTION.search(block):
        raise BadExpiry


def _expiry(pairs: list[tuple[str, str | None]]) -> float | None:
    """The earliest of all that is said: content can only shorten its own time."""
    times: list[float] = []
    for key, value in pairs:
        if key == "<<":  # a merge could bring an expiry that is not read here
            raise BadExpiry
        if key == "expires":
            try:
                times.append(parse_rfc3339((value or "").strip()))
            except (ValueError, OverflowError):
                raise BadExpiry from None
    return min(times, default=None)


def _top_level(block: str) -> list[tuple[str, str | None]] | None:
    """Keys and raw scalar values of the block's mapping (None for a value that is no scalar); None if it is no mapping.

    Walks events and builds nothing: no type is resolved, no alias is followed, no depth can exhaust the stack.

    Raises:
        yaml.YAMLError: it is no YAML.
        ValueError: it nests too deep to be read safely.
    """
    if block.count("[") + block.count("{") > _BRACKETS:
        raise ValueError("nested too deep")
    pairs: list[tuple[str, str | None]] = []
    depth, key, documents, mapping = 0, None, 0, False
    awaiting = True
    for event in yaml.parse(block, Loader=_LOADER):
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            if depth == 0:
                mapping = isinstance(event, yaml.MappingStartEvent)
            elif depth == 1 and mapping:
                scalar = event.value if isinstance(event, yaml.ScalarEvent) else None
                if awaiting:
                    key = scalar
                elif key is not None:
                    pairs.append((key, scalar))
                awaiting = not awaiting
            depth += isinstance(event, yaml.CollectionStartEvent)
    return pairs if mapping and documents == 1 else None
