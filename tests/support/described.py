"""Answers of the agent held to its own description: a status that is declared, and a body of that status's schema."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator

STREAM = "text/event-stream"
Json = dict[str, Any]


class Undescribed(AssertionError):
    """An answer that a client which was generated from the description would not know."""


class DescribedTransport(httpx.AsyncBaseTransport):
    """Passes calls on, and raises Undescribed where an answer is none that the description has."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        answers = _answers(request.method.lower(), request.url.path)
        if answers is None:
            return response
        media = response.headers.get("Content-Type", "").partition(";")[0]
        body = b"" if media == STREAM else await response.aread()
        check(f"{request.method} {request.url.path}", answers, response.status_code, media, body)
        return response


def check(call: str, answers: Json, status: int, media: str, body: bytes) -> None:
    """Whether ``answers`` (a description's responses of one call) has this one. Raises Undescribed."""
    answer = answers.get(str(status), answers.get(f"{status // 100}XX"))
    if answer is None:
        raise Undescribed(f"{call}: {status} is not described")
    content = answer.get("content", {})
    if not body:
        return
    if media not in content:
        raise Undescribed(f"{call}: {status} is {media}, described are {sorted(content)}")
    if not media.endswith("json"):
        return
    for error in _validator(json.dumps(content[media].get("schema", {}))).iter_errors(json.loads(body)):
        where, rule = ("/".join(map(str, path)) for path in (error.instance_path, error.schema_path))
        raise Undescribed(f"{call}: {status} is not as described at {where or 'the top'}: {rule}")


@cache
def _description() -> Json:
    from dta.service.app import api

    found: Json = api().openapi()
    return found


@cache
def _patterns() -> list[tuple[re.Pattern[str], Json]]:
    """The fixed paths first: `/v1/order/secret` is no `/v1/order/{reference}`."""
    paths = sorted(_description()["paths"].items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))), methods) for path, methods in paths]


def _answers(method: str, path: str) -> Json | None:
    for pattern, methods in _patterns():
        if pattern.fullmatch(path) and method in methods:
            found: Json = methods[method]["responses"]
            return found
    return None


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": _description()["components"]})
