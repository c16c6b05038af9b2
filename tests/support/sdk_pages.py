"""The reference of ``import dta``: what its docstrings say (docs/howto/sdk.md)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

import dta
from dta.sdk import client, faces

_SHOWN: Final = re.compile(r"::\n\n((?: +\S.*(?:\n|$))+)")
"""What stands indented below two colons."""


def reference() -> list[str]:
    """Both clients, what they have, and every other public name."""
    lines = [*_client()]
    for name in dta.__all__:
        found = getattr(dta, name)
        if found not in (dta.Client, dta.AsyncClient):
            lines += [f"### `dta.{name}{_fields(found)}`", "", *_said(found), ""]
            for member, made in members(found).items():
                lines += [f"**`{name}.{member}{_of_member(made)}`**", "", *_said(made), ""]
    return lines[:-1]


def members(found: Any) -> dict[str, Any]:
    """What a value that actions take or return has beside its fields: methods and properties that say what they do."""
    if not getattr(found, "__module__", "").startswith("dta.sdk.") or not inspect.isclass(found):
        return {}
    public = {name: made for name, made in sorted(vars(found).items()) if not name.startswith("_")}
    kinds = (property, staticmethod)
    return {
        name: made for name, made in public.items()
        if (isinstance(made, kinds) or inspect.isfunction(made)) and made.__doc__
    }  # fmt: skip


def _of_member(made: Any) -> str:
    return "" if isinstance(made, property) else _signature(made)


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
    """A docstring, from Sphinx' marks to Markdown's."""
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", inspect.getdoc(found) or "")
    return _SHOWN.sub(_fenced, text.replace("``", "`")).split("\n")


def _fenced(shown: re.Match[str]) -> str:
    return f":\n\n```python\n{inspect.cleandoc(shown[1])}\n```\n"


def _fields(found: Any) -> str:
    if not inspect.isclass(found):
        return _signature(found)
    fields = getattr(found, "__dataclass_fields__", None)
    return f"({', '.join(fields)})" if fields else ""


def _signature(function: Any) -> str:
    """As it stands in the source: annotations there are texts, which ``inspect`` would put in quotes."""
    signature = inspect.signature(function)
    parts, is_keyword = [], False
    for one in signature.parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not is_keyword:
            parts.append("*")
            is_keyword = True
        default = "" if one.default is one.empty else f" = {one.default!r}"
        parts.append(f"{one.name}: {one.annotation}{default}")
    return f"({', '.join(parts)}) -> {signature.return_annotation}"
