"""The reference of ``import dta``: what its docstrings say (docs/howto/sdk.md)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import dta
from dta.sdk import client, faces


def reference() -> list[str]:
    """Both clients, what they have, and every other public name."""
    lines = [*_client()]
    for name in dta.__all__:
        found = getattr(dta, name)
        if found not in (dta.Client, dta.AsyncClient):
            lines += [f"### `dta.{name}{_fields(found)}`", "", *_said(found), ""]
    return lines[:-1]


def _client() -> Iterator[str]:
    for made in (dta.Client, dta.AsyncClient):
        yield from (f"### `dta.{made.__name__}`", "", *_said(made), "")
    for noun, made in client.NOUNS.items():
        yield from (f"### `client.{noun}`", "", *_said(made.__mro__[1]), "")
        for name in sorted(vars(made.__mro__[1])):
            method = vars(made.__mro__[1])[name]
            if isinstance(method, faces.action | faces.stream):
                yield from (f"**`{noun}.{name}{_signature(method.function)}`**", "", *_said(method), "")


def _said(found: Any) -> list[str]:
    return (inspect.getdoc(found) or "").split("\n")


def _fields(found: Any) -> str:
    if not inspect.isclass(found):
        return _signature(found)
    fields = getattr(found, "__dataclass_fields__", None)
    return f"({', '.join(fields)})" if fields else ""


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    kept = [one for one in signature.parameters.values() if one.name != "self"]
    return str(signature.replace(parameters=kept)).replace("'", "")
