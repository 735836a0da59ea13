"""Times as the API writes them, and durations as resources declare them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")


def rfc3339(seconds: float) -> str:
    """`seconds` since the epoch in UTC with milliseconds and `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float:
    """Seconds since the epoch.

    Raises:
        ValueError: `text` is not an RFC 3339 time with an offset.
    """
    if not _RFC3339.match(text):
        raise ValueError("not an RFC 3339 time with an offset, such as 2026-11-21T14:30:00Z")
    return datetime.fromisoformat(text.replace(" ", "T").upper()).timestamp()


def duration(text: str) -> float:
    """Seconds of a duration such as `1h30m` or `500ms`.

    Raises:
        ValueError: `text` does not match the pattern of durations.
    """
    if not re.fullmatch(DURATION, text):
        raise ValueError("not a duration such as 30s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
