"""YAML as resources are written in it: several documents, plain data, nothing that can surprise.

Words such as `Off`, `no` and dates stay text, as YAML 1.2 has it; duplicate keys, anchors, tags and merge keys are
refused, since each lets two readers see two things, or a small file become a large one.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from trueup.errors import Invalid

MAX_TEXT = 1 << 20
"""Bytes of one file: two thirds of what an API server takes as one request, and far more than people write."""
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core scalars over PyYAML's safe types."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise Invalid(f"The YAML is not valid: the key in line {line} is not text; quote it.")
        if key in found:
            raise Invalid(f"The YAML is not valid: the key in line {line} stands there twice; remove one.")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_yaml(text: str) -> list[dict[str, Any]]:
    """The objects in `text`, in order; the items of a `kind: List` one by one.

    Raises:
        Invalid: it is not YAML, too large, too deep, or uses what is refused here; the message names the line.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        raise Invalid(f"The YAML is not valid: it has more than {MAX_TEXT} bytes; split it.")
    try:
        _scan(text)
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Invalid(f"The YAML is not valid{where}: it cannot be parsed; check indentation and quotes.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid("The YAML is not valid: it holds characters or numbers that YAML does not allow.") from error
    return [item for document in documents if document is not None for item in _items(document)]


def _scan(text: str) -> None:
    """Refuse, before anything is built, what is not plain data."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Invalid(f"The YAML is not valid: line {line} uses an anchor or alias; write the value out.")
        if getattr(event, "tag", None) is not None:
            raise Invalid(f"The YAML is not valid: line {line} uses a tag; write plain values.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise Invalid(f"The YAML is not valid: line {line} is nested deeper than {MAX_DEPTH} levels.")


def _items(document: object) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        raise Invalid("The YAML is not valid: a document is not a mapping with apiVersion, kind, metadata and spec.")
    kind = document.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list)):
        return [document]
    if not all(isinstance(item, dict) for item in document["items"]):
        raise Invalid("The YAML is not valid: an item of the list is not a mapping.")
    return list(document["items"])
