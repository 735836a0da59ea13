"""What every resource model is made of: the strict base, and the bounded kinds of text and number.

Constraints stand in the annotations, so that one place gives both the validator and the published schema. A bound on
every string, list and map is also what lets an API server estimate the cost of our CEL rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Self

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StrictBool, StrictInt, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from trueup.model.resources import rules
from trueup.model.times import DURATION, duration

LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A DNS-1123 label."""
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""A DNS-1123 subdomain."""
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: such text may stand in a path, a log line or a terminal."""
PATTERN = r"^!?([^\x00-\x20\x7f#!/\\\[]|\\[^\x00-\x20\x7f]|/[^\x00-\x20\x7f/]|\[[!^]?[^\x00-\x1f\x7f/\\\[\]!^]+\])([^\x00-\x1f\x7f\\\[]|\\[^\x00-\x20\x7f]|\[[!^]?[^\x00-\x1f\x7f/\\\[\]!^]+\])*$"
"""A gitignore pattern that says something: not blank, not a comment, not a bare `!` or `/`, every bracket closed, nothing escaped at its end."""
GIT_NAME = r"^[^-/\x00-\x20\x7f~^:?*\[\\][^\x00-\x20\x7f~^:?*\[\\]*$"
"""The characters git allows in a branch or tag; a name that begins with a dash could be taken for an option."""
COMMIT = r"^([0-9a-f]{40}|[0-9a-f]{64})$"
QUANTITY = r"^([1-9][0-9]{0,8}|[1-9][0-9]{0,5}(k|Ki)|[1-9][0-9]{0,2}(M|Mi)|1(G|Gi))$"
"""Bytes as a Kubernetes quantity, at most 1Gi. The bound is in the pattern, since a rule over int-or-string is dear in CEL."""
VERIFY = r"^(Never|Always|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$"
PLUGIN = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
CAPITAL_CASE = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
"""Kubernetes' form of a condition's reason."""

SAYS = {
    LABEL: "must be lower-case letters, digits and dashes, at most 63",
    SUBDOMAIN: "must be lower-case letters, digits, dashes and dots, beginning and ending with a letter or digit",
    PRINTABLE: "must not hold control characters",
    PATTERN: "must be a gitignore pattern such as docs/** or *.md (not blank, not a comment, not a bare ! or /)",
    GIT_NAME: "must be a git branch or tag name, without spaces, wildcards or a leading dash",
    COMMIT: "must be a full commit id: 40 or 64 lower-case hex digits",
    QUANTITY: "must be bytes, such as 16Mi or 1048576, between 1 and 1Gi",
    VERIFY: "must be Never, Always or a duration such as 30s",
    DURATION: "must be a duration such as 30s, 5m or 1h30m",
    PLUGIN: "must be letters, digits, dots, dashes and underscores",
    CAPITAL_CASE: "must be a CapitalCase word",
}
"""What a pattern wants, for people."""

MAX_BYTES = 1 << 30
_UNITS = {"": 1, "k": 1000, "Ki": 1 << 10, "M": 1000**2, "Mi": 1 << 20, "G": 1000**3, "Gi": 1 << 30}


class Model(BaseModel):
    """Frozen; camelCase outside, snake_case inside; a field that nobody declared is refused, not dropped."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = rules.broken(type(self).__name__, self)
        if broken:
            raise PydanticCustomError("rules", "cross-field rules are broken", {"broken": broken})
        return self

    def dump(self) -> dict[str, Any]:
        """The object as YAML and the API have it: camelCase, defaults filled in, absent members left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True)
class Format:
    """The OpenAPI format of a text or number."""

    name: str


@dataclass(frozen=True, slots=True)
class ListMap:
    """This list is a map by the member `key`, so that two writers can patch different entries."""

    key: str


@dataclass(frozen=True, slots=True)
class IntOrString:
    """A number or text, with the pattern that the text has."""

    pattern: str
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Ruled:
    """Values of this type obey the rows of `rules.RULES` that stand under `name`."""

    name: str

    def check(self, value: str) -> str:
        """`value`, if every rule holds."""
        broken = rules.broken(self.name, value)
        if broken:
            raise PydanticCustomError("rules", "rules are broken", {"broken": broken})
        return value


def octets(value: int | str) -> int:
    """Bytes of a quantity such as `16Mi`.

    Raises:
        ValueError: it is no quantity between 1 and 1Gi.
    """
    if isinstance(value, int):
        if isinstance(value, bool) or not 1 <= value <= MAX_BYTES:
            raise ValueError(SAYS[QUANTITY])
        return value
    if not re.fullmatch(QUANTITY, value):
        raise ValueError(SAYS[QUANTITY])
    digits = value.rstrip("kKiMG")
    return int(digits) * _UNITS[value[len(digits) :]]


def seconds(value: str | None) -> float | None:
    """Seconds of an optional duration."""
    return None if value is None else duration(value)


def _quantity(value: object) -> object:
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise PydanticCustomError("quantity", SAYS[QUANTITY])
    try:
        octets(value)
    except ValueError as error:
        raise PydanticCustomError("quantity", SAYS[QUANTITY]) from error
    return value


_LIFETIME = Ruled("Duration")
_VERIFY = Ruled("VerifyOnRead")
_BRANCH = Ruled("GitName")

Duration = Annotated[str, StringConstraints(max_length=32, pattern=DURATION), _LIFETIME, AfterValidator(_LIFETIME.check)]
VerifyOnRead = Annotated[str, StringConstraints(max_length=32, pattern=VERIFY), _VERIFY, AfterValidator(_VERIFY.check)]
Quantity = Annotated[int | str, IntOrString(QUANTITY, 1, MAX_BYTES), BeforeValidator(_quantity)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=SUBDOMAIN)]
NamespaceName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=LABEL)]
ReaderName = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=PRINTABLE)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=PATTERN)]
Patterns = Annotated[tuple[Pattern, ...], Len(0, 128)]
FilePath = Annotated[str, StringConstraints(max_length=1024, pattern=PRINTABLE)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=PRINTABLE)]
GitName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=GIT_NAME), _BRANCH, AfterValidator(_BRANCH.check)]
Commit = Annotated[str, StringConstraints(max_length=64, pattern=COMMIT)]
PluginName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=PLUGIN)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PRINTABLE)]
Time = Annotated[str, StringConstraints(max_length=40), Format("date-time")]
Message = Annotated[str, StringConstraints(max_length=1024)]
Short = Annotated[str, StringConstraints(max_length=256)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=CAPITAL_CASE)]
Count = Annotated[StrictInt, Ge(0), Le((1 << 53) - 1)]
Generation = Annotated[StrictInt, Ge(-1), Le((1 << 53) - 1)]
Percent = Annotated[StrictInt, Ge(0), Le(100)]
Flag = StrictBool


class LocalRef(Model):
    """An object in the same namespace."""

    name: Name
    """Its name. References never leave the namespace."""
