"""From a pydantic model to a structural OpenAPI v3 schema, as an API server takes it.

Only what the resource models use is known here; anything else is a TypeError when the schema is made, never a loose schema.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le, Len
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trueup.model.resources.fields import Format, IntOrString, ListMap, Ruled
from trueup.model.resources.rules import Rule, rules_of

Schema = dict[str, Any]


def object_schema(model: type[BaseModel]) -> Schema:
    """The schema of `model`'s objects, with its cross-field rules."""
    hints = typing.get_type_hints(model, include_extras=True)
    properties: Schema = {}
    required = []
    for name, field in model.model_fields.items():
        alias = field.alias or name
        schema = _of(hints[name])
        if field.description:
            schema = {"description": field.description} | {key: value for key, value in schema.items() if key != "description"}
        default = _default(field)
        if default is not None:
            schema["default"] = default
        if field.is_required():
            required.append(alias)
        properties[alias] = schema
    made: Schema = {"description": inspect.cleandoc(model.__doc__ or "").split("\n\n", 1)[0].replace("\n", " "), "type": "object"}
    if required:
        made["required"] = required
    made["properties"] = properties
    return _ruled(made, model.__name__)


def _default(field: FieldInfo) -> Any:
    """The default as the API server fills it in: {} for an object, whose members have defaults of their own."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined:
        return None
    if isinstance(value, BaseModel):
        return {}
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _of(hint: Any) -> Schema:
    """The schema of one annotation."""
    origin = get_origin(hint)
    if origin is typing.Annotated:
        inner, *marks = get_args(hint)
        number = next((m for m in marks if isinstance(m, IntOrString)), None)
        schema = _int_or_string(number) if number else _of(inner)
        for mark in marks:
            schema = _marked(schema, mark)
        return schema
    if origin in {typing.Union, types.UnionType}:
        members = [member for member in get_args(hint) if member is not type(None)]
        if len(members) == 1:
            return _of(members[0])
        raise TypeError(f"no structural schema for {hint}")
    if origin is tuple:
        return {"type": "array", "items": _of(get_args(hint)[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(get_args(hint)[1])}
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    return _plain(hint)


def _plain(hint: Any) -> Schema:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return object_schema(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    known: dict[Any, Schema] = {str: {"type": "string"}, int: {"type": "integer", "format": "int64"}, bool: {"type": "boolean"}}
    if hint not in known:
        raise TypeError(f"no structural schema for {hint}")
    return dict(known[hint])


def _int_or_string(mark: IntOrString) -> Schema:
    return {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": mark.pattern,
        "minimum": mark.minimum,
        "maximum": mark.maximum,
    }


def _marked(schema: Schema, mark: Any) -> Schema:
    """`schema` with what one mark of an annotation adds."""
    if isinstance(mark, Ruled):
        return _ruled(schema, mark.name)
    return {**schema, **{name: value for name, value in _bounds(schema["type"], mark).items() if value is not None}} if "type" in schema else schema


def _bounds(kind: str, mark: Any) -> Schema:
    unit = "Items" if kind == "array" else "Properties"
    bounds: Schema = {}
    match mark:
        case StringConstraints():
            bounds = {"minLength": mark.min_length, "maxLength": mark.max_length, "pattern": mark.pattern}
        case Len():
            bounds = {f"min{unit}": mark.min_length or None, f"max{unit}": mark.max_length}
        case Ge():
            bounds = {"minimum": mark.ge}
        case Le():
            bounds = {"maximum": mark.le}
        case Format():
            bounds = {"format": mark.name}
        case ListMap():
            bounds = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [mark.key]}
    return bounds


def _ruled(schema: Schema, name: str) -> Schema:
    """`schema` with the rules about `name`."""
    rules = [_validation(rule) for rule in rules_of(name)]
    return {**schema, "x-kubernetes-validations": rules} if rules else schema


def _validation(rule: Rule) -> Schema:
    told = f"{rule.field} {rule.message}" if rule.field and not rule.message.startswith(rule.field) else rule.message
    made: Schema = {"rule": rule.cel, "message": told}
    return {**made, "fieldPath": f".{rule.field}"} if rule.field else made
