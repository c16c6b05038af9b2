"""The page at /docs: the OpenAPI description for people, one HTML file without script or anything from elsewhere.

Nothing is tried out from it: it would have to hold a token, in a browser, of an agent that opens secrets.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:auto;padding:1rem;color-scheme:light dark}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}pre{overflow-x:auto;padding:.5rem;border:1px solid #8888}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}"
    "h2{margin-top:2.5rem}nav a{margin-right:1rem}.scope{opacity:.7}"
)
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode("ascii")
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(description: Mapping[str, Any]) -> str:
    """The page of an OpenAPI 3.1 description."""
    title = escape(description["info"]["title"])
    body = "".join(_body(description))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1>{body}</body></html>"
    )


def _body(description: Mapping[str, Any]) -> Iterator[str]:
    schemas = description.get("components", {}).get("schemas", {})
    operations = [
        (method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    yield '<p>Every call carries <code>Authorization: Bearer dta_...</code> (<code>dta serve token create</code>). '
    yield 'The description for programs: <a href="/v1/openapi.json">/v1/openapi.json</a>.</p><nav>'
    tags = dict.fromkeys(tag for _, _, operation in operations for tag in operation.get("tags", ()))
    yield "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in tags) + "</nav>"
    for tag in tags:
        yield f'<h2 id="{escape(tag)}">{escape(tag)}</h2>'
        for method, path, operation in operations:
            if tag in operation.get("tags", ()):
                yield from _operation(method, path, operation)
    yield "<h2>Bodies</h2>"
    for name, schema in schemas.items():
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
        yield from _fields(schema)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3><code>{method} {escape(path)}</code></h3><p>{_text(operation.get('description', ''))}</p>"
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{_type(one.get('schema', {}))}</td><td>{_text(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", ())
    ]
    if rows:
        yield f"<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>{''.join(rows)}</table>"
    content = operation.get("requestBody", {}).get("content", {})
    for media, one in content.items():
        yield f"<p>Body: {_type(one.get('schema', {}))} as <code>{escape(media)}</code></p>"
    for status, one in operation.get("responses", {}).items():
        types = [_type(answer.get("schema", {})) for answer in one.get("content", {}).values()]
        shown = ", ".join(dict.fromkeys(found for found in types if found))
        yield f"<p><code>{escape(str(status))}</code> {shown} {_text(one.get('description', ''))}</p>"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    rows = [
        f"<tr><td><code>{escape(name)}</code>{'' if name in required else ' <small>optional</small>'}</td>"
        f"<td>{_type(field)}</td><td>{_text(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    ]
    if rows:
        yield f"<table>{''.join(rows)}</table>"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema's type, with a link where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return " ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(" ".join(str(schema[part]) for part in ("type", "format") if part in schema))


def _text(text: str) -> str:
    return escape(text).replace("\n\n", "<br>")
