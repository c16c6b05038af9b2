"""Why a login is refused: stable codes, each with its HTTP status and what to do (docs/spec/mfa.md, Refusals)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from dta.base.errors import EXIT_REFUSED, DtaError, JsonValue


class Refusal(StrEnum):
    """The code of a refusal, as it travels."""

    MALFORMED = "MALFORMED"
    TOO_LARGE = "TOO_LARGE"
    TOO_SLOW = "TOO_SLOW"
    NOT_FOUND = "NOT_FOUND"
    METHOD = "METHOD"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    BUSY = "BUSY"
    LEDGER_UNREADABLE = "LEDGER_UNREADABLE"
    INTERNAL = "INTERNAL"
    WRONG_REALM = "WRONG_REALM"
    SERVER_NOT_REGISTERED = "SERVER_NOT_REGISTERED"
    BAD_POINT = "BAD_POINT"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    LOCKED_OUT = "LOCKED_OUT"
    REVOKED = "REVOKED"
    PERMIT_REQUIRED = "PERMIT_REQUIRED"
    WRONG_DAY = "WRONG_DAY"
    NO_PERMIT = "NO_PERMIT"
    ONE_PASS_OFF = "ONE_PASS_OFF"  # noqa: S105
    STALE_TIME = "STALE_TIME"
    FUTURE_TIME = "FUTURE_TIME"
    REPLAYED = "REPLAYED"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    UNKNOWN_TICKET = "UNKNOWN_TICKET"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The HTTP status, the sentence and the hint of a refusal."""

    status: HTTPStatus
    message: str
    hint: str


_S = HTTPStatus
MEANINGS: Final[Mapping[Refusal, Meaning]] = {
    Refusal.MALFORMED: Meaning(_S.BAD_REQUEST, "the request is malformed", "docs/spec/mfa.md has every request's form"),
    Refusal.TOO_LARGE: Meaning(_S.REQUEST_ENTITY_TOO_LARGE, "the request is too large", "no request needs so much"),
    Refusal.TOO_SLOW: Meaning(_S.REQUEST_TIMEOUT, "the request took too long to arrive", "try again on a better line"),
    Refusal.NOT_FOUND: Meaning(_S.NOT_FOUND, "there is nothing here", "logins are under /rps/"),
    Refusal.METHOD: Meaning(
        _S.METHOD_NOT_ALLOWED, "the method is not answered here", "docs/spec/mfa.md has the right one"
    ),
    Refusal.TOO_MANY_REQUESTS: Meaning(
        _S.TOO_MANY_REQUESTS, "too many requests from this address", "wait, as Retry-After says"
    ),
    Refusal.BUSY: Meaning(_S.SERVICE_UNAVAILABLE, "too many logins are under way", "try again soon"),
    Refusal.LEDGER_UNREADABLE: Meaning(
        _S.SERVICE_UNAVAILABLE, "the ledger can't be read now", "try again soon; the operator's log says why"
    ),
    Refusal.INTERNAL: Meaning(_S.INTERNAL_SERVER_ERROR, "the server failed", "the operator's log says why"),
    Refusal.WRONG_REALM: Meaning(
        _S.NOT_FOUND, "this server serves another realm, or is another server", "check the address, realm and server"
    ),
    Refusal.SERVER_NOT_REGISTERED: Meaning(
        _S.FORBIDDEN, "this server is not registered in its realm now", "its operator must ask the registrar"
    ),
    Refusal.BAD_POINT: Meaning(
        _S.BAD_REQUEST, "a value is not a point of the group, or is its identity", "send what the protocol computes"
    ),
    Refusal.UNKNOWN_SESSION: Meaning(
        _S.NOT_FOUND, "there is no such login: it ended, took too long or never began", "begin again with pass 1"
    ),
    Refusal.NOT_AUTHENTICATED: Meaning(
        _S.UNAUTHORIZED, "not authenticated", "check the PIN; too many failures lock the client out"
    ),
    Refusal.LOCKED_OUT: Meaning(
        _S.FORBIDDEN, "locked out after too many failures", "wait, as retry_after_s says, or ask the server's operator"
    ),
    Refusal.REVOKED: Meaning(_S.FORBIDDEN, "the client is revoked", "only its registrar can say why"),
    Refusal.PERMIT_REQUIRED: Meaning(
        _S.FORBIDDEN, "this realm wants a time permit", "take today's from the ledger and name its day"
    ),
    Refusal.WRONG_DAY: Meaning(
        _S.FORBIDDEN, "the time permit is of another day", "take today's (UTC) from the ledger; check this clock"
    ),
    Refusal.NO_PERMIT: Meaning(
        _S.NOT_FOUND, "no permit of this client's was issued for that day", "ask the registrar: the revoked get none"
    ),
    Refusal.ONE_PASS_OFF: Meaning(_S.FORBIDDEN, "this realm has no one-pass logins", "use two passes"),
    Refusal.STALE_TIME: Meaning(
        _S.FORBIDDEN, "the login's time is too old", "check this machine's clock, and log in anew"
    ),
    Refusal.FUTURE_TIME: Meaning(_S.FORBIDDEN, "the login's time is in the future", "check this machine's clock"),
    Refusal.REPLAYED: Meaning(_S.FORBIDDEN, "this login was made before", "log in anew"),
    Refusal.NOT_CONFIRMED: Meaning(
        _S.UNAUTHORIZED, "the client has other keys than the server", "begin again; somebody may sit between the two"
    ),
    Refusal.UNKNOWN_TICKET: Meaning(
        _S.NOT_FOUND, "there is no such ticket: it was redeemed, is too old or never was", "let the person log in again"
    ),
}  # fmt: skip


class LoginRefused(DtaError):
    """A login was refused. ``code`` says why; ``retry_after_s`` is when to try again, or None."""

    kind = "login-refused"
    exit_code = EXIT_REFUSED

    def __init__(self, code: Refusal, detail: str = "", *, retry_after_s: int | None = None) -> None:
        meaning = MEANINGS[code]
        data: dict[str, JsonValue] = {"code": code.value}
        if retry_after_s is not None:
            data["retry_after_s"] = retry_after_s
        super().__init__(f"{meaning.message}: {detail}" if detail else meaning.message, hint=meaning.hint, data=data)
        self.code = code
        self.status = meaning.status
        self.retry_after_s = retry_after_s
