"""From a manifest to a resource, or to one sentence that names every problem and where it is.

Values never stand in the sentence: one of them may be a secret that was put in the wrong place.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError

from trueup.errors import Invalid
from trueup.model.resources.contextindex import ContextIndex
from trueup.model.resources.contextsource import ContextSource
from trueup.model.resources.fields import SAYS, Model

API_VERSION = "trueup.dev/v1alpha1"
KINDS: Mapping[str, type[ContextSource | ContextIndex]] = {"ContextSource": ContextSource, "ContextIndex": ContextIndex}
_SERVER_SIDE = ("status",)
"""What a manifest may bring along from `get -o yaml` and apply does not take, as with any status subresource."""
_MOST = 20
"""Problems told at once."""


def parse_manifest(manifest: Mapping[str, Any]) -> ContextSource | ContextIndex:
    """The resource that `manifest` declares, without its status.

    Raises:
        Invalid: with every problem in one sentence, each as `path: what is wrong`.
    """
    if not isinstance(manifest, Mapping):
        raise Invalid("The manifest is not valid: it must be a mapping with apiVersion, kind, metadata and spec.")
    kind = manifest.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise Invalid(f"The manifest is not valid: kind: must be {' or '.join(KINDS)}.")
    if manifest.get("apiVersion") != API_VERSION:
        raise Invalid(f"The {kind} is not valid: apiVersion: must be {API_VERSION}.")
    data = {key: value for key, value in manifest.items() if key not in _SERVER_SIDE}
    found = _told([*_nothings(data)], f"The {kind} is not valid")
    if found:
        raise Invalid(found)
    return _validated(model, data, f"The {kind} is not valid")


def parse_stored(stored: Mapping[str, Any]) -> ContextSource | ContextIndex:
    """A resource as the catalog or the API server has it, with its status.

    Raises:
        Invalid: it does not fit this version's schema.
    """
    model = KINDS.get(str(stored.get("kind")))
    if model is None:
        raise Invalid(f"The object is not valid: kind: must be {' or '.join(KINDS)}.")
    return _validated(model, stored, f"The {stored['kind']} is not valid")


def _validated(model: type[ContextSource | ContextIndex], data: Mapping[str, Any], what: str) -> ContextSource | ContextIndex:
    try:
        return model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise Invalid(_told(list(_problems(model, error)), what)) from error


def make_absolute(manifest: Mapping[str, Any], base: PurePosixPath, home: PurePosixPath | None = None) -> dict[str, Any]:
    """`manifest` with a relative directory.path or git.url taken from `base`, and `~/` from `home`. Purely lexical.

    What cannot be a path is left for validation to refuse.
    """
    result = dict(manifest)
    spec = result.get("spec")
    source = spec.get("source") if isinstance(spec, Mapping) else None
    if not isinstance(spec, Mapping) or not isinstance(source, Mapping):
        return result
    source = dict(source)
    for member, field in (("directory", "path"), ("git", "url")):
        held = source.get(member)
        value = held.get(field) if isinstance(held, Mapping) else None
        if isinstance(held, Mapping) and isinstance(value, str) and (member == "directory" or _is_path(value)):
            source[member] = {**held, field: _absolute(value, base, home)}
    result["spec"] = {**spec, "source": source}
    return result


def _is_path(url: str) -> bool:
    return not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|-|[^/]*@[^/]*:", url)


def _absolute(path: str, base: PurePosixPath, home: PurePosixPath | None) -> str:
    if not path or path.startswith("/"):
        return path
    if home is not None and (path == "~" or path.startswith("~/")):
        return posixpath.normpath(f"{home}/{path[2:]}")
    return posixpath.normpath(f"{base}/{path}")


def _nothings(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Members written without a value. To guess would be to choose between "inherit" and "nobody"."""
    if value is None:
        yield _where(path), "has no value: give one, or leave the field out"
    elif isinstance(value, Mapping):
        for key, member in value.items():
            if path or key != "metadata":
                yield from _nothings(member, (*path, str(key)))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _nothings(member, (*path, number))


def _problems(model: type[BaseModel], error: ValidationError) -> Iterator[tuple[str, str]]:
    for problem in error.errors(include_url=False, include_input=False):
        path, kind, context = problem["loc"], problem["type"], problem.get("ctx", {})
        if kind == "rules":
            for field, message in context["broken"]:
                yield _where((*path, field) if field else path), message
        elif kind == "extra_forbidden":
            yield _where(path), "unknown field" + _nearest(model, path)
        else:
            yield _where(path), _says(kind, context, problem["msg"])


def _says(kind: str, context: Mapping[str, Any], message: str) -> str:
    """A pydantic error in our words."""
    if kind == "string_pattern_mismatch":
        return SAYS.get(str(context.get("pattern")), "has a form that is not allowed")
    if kind in {"string_too_short", "too_short"} and context.get("min_length") == 1:
        return "must not be empty"
    if kind in {"enum", "literal_error"}:
        return f"must be one of {str(context.get('expected')).replace(' or ', ', ').replace(chr(39), '')}"
    return _PLAIN[kind].format(**context) if kind in _PLAIN else message


_PLAIN = {
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "missing": "is required",
    "string_type": "must be text: quote it",
    "string_unicode": "must be text without broken characters",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _nearest(model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    """A hint at the field that was probably meant."""
    holder: Any = model
    for step in path[:-1]:
        holder = holder if isinstance(step, int) else _member(holder, step)
        if holder is None:
            return ""
    names = [field.alias or name for name, field in holder.model_fields.items()]
    near = difflib.get_close_matches(str(path[-1])[:64], names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _member(holder: type[BaseModel], alias: str) -> type[BaseModel] | None:
    for name, field in holder.model_fields.items():
        if alias in (field.alias, name):
            return next(iter(_models(field.annotation)), None)
    return None


def _models(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _where(path: tuple[str | int, ...]) -> str:
    """`spec.access.rules[0].paths`, with whatever a stranger named a field made harmless."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_safe(step)}" for step in path if step != "[key]")
    return text.lstrip(".") or "the manifest"


def _safe(name: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in name)
    return shown if len(shown) <= 64 else shown[:61] + "..."


def _told(problems: list[tuple[str, str]], what: str) -> str:
    if not problems:
        return ""
    told = [f"{where}: {wrong}" for where, wrong in dict.fromkeys(problems)]
    more = f"; and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return f"{what}: {'; '.join(told[:_MOST])}{more}."
