"""Errors as problem details (RFC 9457): one table from what went wrong to status and type."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from dta.base import errors
from dta.base.errors import BadAnswer, DtaError, JsonValue, RpcError
from dta.client.receipt.errors import ReceiptRefused
from dta.hsm.errors import KeystoreError, expected
from dta.service.errors import UNPROCESSABLE, BadCall, Forbidden, NothingPlaced, RateLimited, Unauthenticated

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:dta:problem:"


class Problem(BaseModel):
    """RFC 9457. ``kind`` is finer than ``type``; ``code`` and ``name`` are the ledger's, where it refused."""

    type: str = Field(description="urn:dta:problem:KIND, one of the table in docs/spec/rest.md")
    title: str
    status: int
    detail: str
    kind: str
    hint: str = ""
    code: int | None = None
    name: str | None = None
    reason: str | None = None
    data: dict[str, object] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    status: int
    type: str
    title: str


_USAGE = _Row(400, "usage", "The call is wrong; nothing was done")
_NOT_UNDERSTOOD = _Row(422, "usage", "The call contradicts what it should say; nothing was done")
_UNAUTHENTICATED = _Row(401, "unauthenticated", "Who asks?")
_FORBIDDEN = _Row(403, "forbidden", "Not with this credential")
_NOT_FOUND = _Row(404, "not-found", "There is no such thing")
_REFUSED = _Row(409, "refused", "It was refused")
_EXPIRED = _Row(409, "expired", "It is over, and will never be")
_RATE_LIMITED = _Row(429, "rate-limited", "Too much at once")
_INTERNAL = _Row(500, "internal", "A fault of this program")
_BAD_ANSWER = _Row(502, "bad-answer", "A node answered as no node does")
_NOT_VERIFIED = _Row(502, "not-verified", "A node's answer could not be verified; nothing was done with it")
_KEYSTORE = _Row(503, "keystore", "The keystore refused or failed")
_UNREACHABLE = _Row(503, "unreachable", "No node, or too few fiduciaries, could be reached")
_TIMEOUT = _Row(504, "timeout", "It took too long; it may still happen")
_NOTHING_PLACED = _Row(504, "timeout", "It took too long; nothing was placed or asked for")

_BY_EXIT: Final[Mapping[int, _Row]] = {
    errors.EXIT_INTERNAL: _INTERNAL, errors.EXIT_USAGE: _USAGE, errors.EXIT_REFUSED: _REFUSED,
    errors.EXIT_UNREACHABLE: _UNREACHABLE, errors.EXIT_NOT_VERIFIED: _NOT_VERIFIED, errors.EXIT_TIMEOUT: _TIMEOUT,
    errors.EXIT_NOT_FOUND: _NOT_FOUND, errors.EXIT_KEYSTORE: _KEYSTORE, errors.EXIT_EXPIRED: _EXPIRED,
    errors.EXIT_UPGRADE: _Row(503, "upgrade-required", "The ledger has rules that this program lacks"),
    errors.EXIT_PLACE: _Row(503, "place", "This machine refused: a disk, a permission"),
}  # fmt: skip
_OWN: Final[tuple[tuple[type[DtaError] | tuple[type[DtaError], ...], _Row], ...]] = (
    (Unauthenticated, _UNAUTHENTICATED),
    (Forbidden, _FORBIDDEN),
    (RateLimited, _RATE_LIMITED),
    (NothingPlaced, _NOTHING_PLACED),
    ((*UNPROCESSABLE, ReceiptRefused), _NOT_UNDERSTOOD),
    ((BadAnswer, RpcError), _BAD_ANSWER),
)


def row_of(error: DtaError) -> _Row:
    """What an error is over HTTP."""
    if isinstance(error, BadCall):
        return _Row(error.status, "usage", _USAGE.title)
    for kinds, row in _OWN:
        if isinstance(error, kinds):
            return row
    return _BY_EXIT.get(error.exit_code, _INTERNAL)


def problem_of(error: DtaError) -> Problem:
    """The problem's details. What an error of ours says holds no secret (dta/base/errors.py)."""
    row = row_of(error)
    code, name, reason = (error.data.get(part) for part in ("code", "name", "reason"))
    return Problem(
        type=URN + row.type, title=row.title, status=row.status, detail=error.message, kind=error.kind,
        hint=error.hint, code=code if isinstance(code, int) else None, name=name if isinstance(name, str) else None,
        reason=reason if isinstance(reason, str) and reason else None, data=dict(error.data),
    )  # fmt: skip


def answer(error: DtaError) -> JSONResponse:
    """The response for an error."""
    problem = problem_of(error)
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="dta"'
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    elif problem.status in (503, 504):
        headers["Retry-After"] = "5"
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, problem.status, headers=headers, media_type=MEDIA_TYPE)


def as_ours(error: Exception) -> DtaError:
    """Any exception as one of ours, as the command line does it. What a stranger's says may hold anything: not said."""
    known = expected(error)
    if known is not None:
        return known
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s in a call\n%s", type(error).__name__, where)
    return errors.InternalError("a fault of this program", hint="its log says where; please report it")


def kind_of(error: Exception) -> str:
    """What a log may say of an error: the kind of one of ours, the type of another. Never what it says."""
    return error.kind if isinstance(error, DtaError) else type(error).__name__


def _invalid(error: RequestValidationError) -> DtaError:
    """Where the call's fields are wrong, by their places; never what was in them: it may be a secret."""
    found: list[JsonValue] = []
    for one in error.errors()[:20]:
        found.append({"at": "/".join(str(part) for part in one["loc"]), "wrong": str(one["type"])})
    first = error.errors()[0] if error.errors() else {"loc": (), "type": "value"}
    status = 400 if first["type"] == "json_invalid" else 422
    where = "/".join(str(part) for part in first["loc"])
    wrong = BadCall(status, f"{where}: {first['type']}", hint="/docs says what may stand there")
    wrong.data["fields"] = found
    return wrong


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` with problem details."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        return answer(as_ours(error))

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(_invalid(error))

    async def plain(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return answer(errors.NotFound("there is no such path", hint="/docs lists them"))
        response = answer(BadCall(error.status_code, str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(DtaError, ours)
    app.add_exception_handler(KeystoreError, ours)
    app.add_exception_handler(OSError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, ours)
