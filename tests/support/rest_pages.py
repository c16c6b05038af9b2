"""The reference of an OpenAPI 3.1 description, as Markdown: docs/reference/rest.md is made of `dta serve`'s own.

Nothing is added to what the description says: paths by their tags, parameters, bodies, answers, then every named body.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.support.tables import plain, table

Described = Mapping[str, Any]
COMMON: Final = ("Idempotency-Key", "DTA-Identity")
"""Headers of nearly every call: said once."""
_PROBLEMS: Final = ("4XX", "5XX")
_UNSAID: Final = "Successful Response"
"""What FastAPI says of an answer of which nothing is said."""


def reference(description: Described) -> list[str]:
    """All of it. A body's heading is its name alone, to which types lead."""
    calls = [
        (method.upper(), path, call)
        for path, methods in description["paths"].items() for method, call in methods.items()
    ]  # fmt: skip
    lines = [*_common(calls)]
    for tag in dict.fromkeys(tag for _, _, call in calls for tag in call.get("tags", ())):
        lines += [f"### Calls: {tag}", ""]
        for method, path, call in calls:
            if tag in call.get("tags", ()):
                lines += _call(method, path, call)
    lines += ["### Bodies", ""]
    for name, schema in sorted(description.get("components", {}).get("schemas", {}).items()):
        lines += [f"#### {name}", "", *_said(schema.get("description", "")), *_fields(schema)]
    return lines[:-1]


def _common(calls: list[tuple[str, str, Described]]) -> Iterator[str]:
    said = {
        one["name"]: one.get("description", "")
        for _, _, call in calls for one in call.get("parameters", ()) if one["name"] in COMMON
    }  # fmt: skip
    problems = {
        status: one.get("description", "")
        for _, _, call in calls for status, one in call.get("responses", {}).items() if status in _PROBLEMS
    }  # fmt: skip
    rows = [(f"header `{name}`", plain(says)) for name, says in said.items()]
    rows += [(f"answer `{status}`", plain(says)) for status, says in problems.items()]
    if rows:
        yield from (*table(("of nearly every call", "what it is"), rows), "")


def _call(method: str, path: str, call: Described) -> Iterator[str]:
    yield from (f"#### {method} {path}", "", *_said(call.get("description", "")))
    rows = [
        (f"`{one['name']}`", one["in"], _type(one.get("schema", {})), plain(one.get("description", "")))
        for one in call.get("parameters", ()) if one["name"] not in COMMON
    ]  # fmt: skip
    if rows:
        yield from (*_filled(("parameter", "in", "type", "what it is"), rows), "")
    for media, one in call.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body: {_type(one.get('schema', {}))}, `{media}`.", "")
    answers = [
        (f"`{status}`", _types(one.get("content", {})), plain(one.get("description", "").replace(_UNSAID, "")))
        for status, one in sorted(call.get("responses", {}).items()) if status not in _PROBLEMS
    ]  # fmt: skip
    if answers:
        yield from (*_filled(("answer", "body", "what it means"), answers), "")


def _types(content: Described) -> str:
    shown = (f"{_type(one.get('schema', {}))}, `{media}`".removeprefix(", ") for media, one in content.items())
    return "; ".join(dict.fromkeys(shown))


def _fields(schema: Described) -> Iterator[str]:
    """What new callers need first: fields of old callers' are the last."""
    required = frozenset(schema.get("required", ()))
    fields = sorted(schema.get("properties", {}).items(), key=lambda field: bool(field[1].get("deprecated")))
    rows = [
        (f"`{name}`", _type(field), _need(name, field, required), plain(field.get("description", "")))
        for name, field in fields
    ]
    if rows:
        yield from (*_filled(("field", "type", "", "what it is"), rows), "")


def _filled(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table without the columns in which nothing stands."""
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    return table([head[at] for at in kept], [[row[at] for at in kept] for row in rows])


def _need(name: str, field: Described, required: frozenset[str]) -> str:
    if field.get("deprecated"):
        return "deprecated"
    return "" if name in required else "optional"


def _type(schema: Described) -> str:
    """A schema's type; a link where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {})) or 'anything'}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties']) or 'anything'}"
    return " ".join(str(schema[part]) for part in ("type", "format") if part in schema)


def _said(text: str) -> list[str]:
    """A description's paragraphs."""
    shown = [plain(" ".join(part.split())) for part in text.replace("``", "`").split("\n\n")]
    return [line for part in shown if part for line in (part, "")]
