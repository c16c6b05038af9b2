"""docs/spec/openapi.json: the agent's API as a file, for who generates a client; and that /v1 only grows.

``scripts/pages.sh`` writes it, and refuses to where a caller of the file that is there would be broken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = "docs/spec/openapi.json"
PROMISED = Path(__file__).parent / "promised" / "openapi_v1.json"
"""/v1 as it was first promised. Never written again: what was added since is held by the file above, from change to
change, and what is here for good."""
_LIMITS = {"maxLength": max, "maxItems": max, "maximum": max, "minLength": min, "minItems": min, "minimum": min}
"""Of what is sent: which of two bounds lets more through."""

Json = Mapping[str, Any]


def current() -> str:
    """The file as it should be."""
    from dta.service.app import api

    return json.dumps(api().openapi(), indent=1, ensure_ascii=True) + "\n"


def written(path: Path) -> Json:
    """The file as it is; an empty description where there is none."""
    found: Json = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"paths": {}}
    return found


def breaks(old: Json, new: Json) -> list[str]:
    """What a caller that was made for ``old`` would stumble over in ``new``."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            after = new["paths"].get(path, {}).get(method)
            name = f"{method.upper()} {path}"
            if after is None:
                found.append(f"{name} is gone")
                continue
            found += [f"{name}: {what}" for what in _operation(before, after, old, new)]
    return found


def _operation(before: Json, after: Json, old: Json, new: Json) -> Iterator[str]:
    if before["operationId"] != after["operationId"]:
        yield f"is called {after['operationId']} by generated clients"
    yield from _parameters(before, after, old, new)
    sent, taken = _body(before.get("requestBody")), _body(after.get("requestBody"))
    yield from _content(sent, taken, "the body", old, new, _sent)
    if after.get("requestBody", {}).get("required") and not before.get("requestBody", {}).get("required"):
        yield "a body is needed now"
    for status, answer in before["responses"].items():
        if status not in after["responses"]:
            yield f"{status} is not answered any more"
        else:
            yield from _content(_body(answer), _body(after["responses"][status]), status, old, new, _shown)


def _parameters(before: Json, after: Json, old: Json, new: Json) -> Iterator[str]:
    known = {(one["in"], one["name"]): one for one in before.get("parameters", ())}
    given = {(one["in"], one["name"]): one for one in after.get("parameters", ())}
    for key, one in known.items():
        if key not in given:
            yield f"the parameter {key[1]} is gone"
        else:
            yield from _sent(key[1], one["schema"], given[key]["schema"], old, new)
    for key, one in given.items():
        if one.get("required") and not known.get(key, {}).get("required"):
            yield f"the parameter {key[1]} is needed now"


def _content(
    before: dict[str, Json], after: dict[str, Json], what: str, old: Json, new: Json, compare: Any
) -> Iterator[str]:
    for media, schema in before.items():
        if media not in after:
            yield f"{what} is not {media} any more"
        else:
            yield from compare("", schema, after[media], old, new)


def _body(place: Json | None) -> dict[str, Json]:
    content = (place or {}).get("content", {})
    return {media: one.get("schema", {}) for media, one in content.items()}


def _sent(at: str, before: Json, after: Json, old: Json, new: Json) -> Iterator[str]:
    """What could be sent, and can't any more."""
    before, after = _schema(before, old), _schema(after, new)
    if not _kinds(before) <= _kinds(after):
        yield f"{at or 'the body'} takes {sorted(_kinds(after))} alone"
    if set(before.get("enum", ())) - set(after.get("enum", before.get("enum", ()))):
        yield f"{at} takes fewer words"
    for limit, wider in _LIMITS.items():
        if limit in after and (limit not in before or wider(before[limit], after[limit]) != after[limit]):
            yield f"{at}: {limit} is {after[limit]}"
    if after.get("pattern") not in (None, before.get("pattern")):
        yield f"{at} has another pattern"
    yield from _fields(at, before, after, old, new, _sent)
    for name in set(after.get("required", ())) - set(before.get("required", ())):
        yield f"{at}{name} is needed now"


def _shown(at: str, before: Json, after: Json, old: Json, new: Json) -> Iterator[str]:
    """What could be relied on in an answer, and can't any more."""
    before, after = _schema(before, old), _schema(after, new)
    if not _kinds(after) <= _kinds(before):
        yield f"{at or 'the answer'} may be {sorted(_kinds(after))}"
    yield from _fields(at, before, after, old, new, _shown)
    for name in set(before.get("required", ())) - set(after.get("required", ())):
        yield f"{at}{name} may be missing"


def _fields(at: str, before: Json, after: Json, old: Json, new: Json, compare: Any) -> Iterator[str]:
    for name, field in before.get("properties", {}).items():
        if name not in after.get("properties", {}):
            yield f"{at}{name} is gone"
        else:
            yield from compare(f"{at}{name}.", field, after["properties"][name], old, new)
    if "items" in before and "items" in after:
        yield from compare(f"{at}[].", before["items"], after["items"], old, new)


def _schema(schema: Json, description: Json) -> Json:
    if "$ref" in schema:
        found: Json = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _kinds(schema: Json) -> set[str]:
    """The types that a schema takes; a name for each that is none of JSON's own."""
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return {kind for one in schema[several] for kind in _kinds(one)}
    if "$ref" in schema:
        return {schema["$ref"]}
    kind = schema.get("type", "anything")
    return set(kind) if isinstance(kind, list) else {kind}
