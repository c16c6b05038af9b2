"""Logging in over HTTP: two-pass, one-pass, and the full protocol with a session key (docs/spec/mfa.md, HTTP)."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import httpx

from abci_app.crypto.curve import G1, BadPoint
from abci_app.crypto.scalars import BadScalar
from dta.base.errors import BadAnswer, NotVerified, TimedOut, Unreachable, UsageError
from dta.base.secret import SecretBytes
from dta.client.mfa.credentials import Credential
from dta.http.deadline import DeadlineTransport
from dta.mpin.logins import ID_BYTES, Mode
from dta.mpin.pin import Pin, secret_of
from dta.mpin.protocol import BadStep, ClientLogin
from dta.mpin.refusals import LoginRefused, Refusal

DEADLINE_S: Final = 30.0
"""Of one request in all, from the connection to the end of the answer."""
MAX_ANSWER_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that succeeded. ``ticket`` (32 bytes): for the service that is to believe it, which redeems it once.

    ``session_key`` (32 bytes): of the full protocol, known to client and server alone; else None.
    """

    client: bytes
    server: bytes
    mode: Mode
    day: int | None
    ticket: SecretBytes
    session_key: SecretBytes | None


@dataclass(frozen=True, slots=True)
class Permit:
    """A client's time permit s*D for ``day``, of verified partials: :func:`dta.client.mfa.permits.take` makes it.

    One from anywhere else tests a guess of the PIN for whoever made it up and has the token (docs/spec/mfa.md, Time
    permits), and no client can tell: to check the sum alone takes a multiple of s in G2, which nobody may have.
    """

    client: bytes
    day: int
    point: G1


class MfaClient:
    """One authentication server at ``url``. Use it as a context manager.

    ``ca``: a PEM file of those who may certify it, instead of the usual ones.
    """

    def __init__(
        self,
        url: str,
        ca: Path | None = None,
        now_s: Callable[[], float] = time.time,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Raises UsageError for an address or a ``ca`` that is none."""
        if not url.startswith(("http://", "https://")):
            raise UsageError("an authentication server's address starts with http:// or https://")
        self._url = url.rstrip("/")
        transport = DeadlineTransport(deadline_s, verify=True if ca is None else _trusting(ca))
        self._http = httpx.Client(timeout=deadline_s, follow_redirects=False, trust_env=False, transport=transport)
        self._now_s = now_s

    def __enter__(self) -> MfaClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def status(self) -> Mapping[str, Any]:
        """``GET /rps/status``: what the server says of itself, unchecked."""
        return self._ask("GET", "/rps/status")

    def login(
        self, credential: Credential, server: bytes, pin: Pin, mode: Mode, permit: Permit | None = None
    ) -> LoggedIn:
        """Logs in at ``server`` (identity). ``permit``: today's, where the realm wants one; the server is not asked.

        Raises UsageError (no permit, or another client's: nothing was sent), LoginRefused, NotVerified (the server does
        not have the realm's secret), Unreachable, BadAnswer.
        """
        if permit is None and credential.permits_required:
            raise UsageError("this realm wants a time permit", hint="take it from the ledger, from nowhere else")
        if permit is not None and permit.client != credential.client:
            raise UsageError("the time permit is another client's")
        day, point = (None, None) if permit is None else (permit.day, permit.point)
        parties = credential.parties(server, day)
        secret = secret_of(credential.token, parties.a, pin)
        attempt = ClientLogin(parties, secret, point, full=mode is Mode.FULL)
        hello: dict[str, object] = {
            "realm": credential.realm.hex(),
            "server": server.hex(),
            "name": credential.name,
            "salt": credential.salt.reveal().hex(),
            "u": credential.suite.write_g1(attempt.u).hex(),
        }
        if day is not None:
            hello["day"] = day
        try:
            if mode is Mode.ONE_PASS:
                ticket, key = self._one_pass(credential, attempt, hello), None
            else:
                ticket, key = self._two_passes(credential, attempt, hello)
        except BadStep:
            raise BadAnswer("the server's challenge is none that a server sends") from None
        return LoggedIn(credential.client, server, mode, day, ticket, key)

    def _one_pass(self, credential: Credential, attempt: ClientLogin, hello: dict[str, object]) -> SecretBytes:
        time_s = int(self._now_s())
        _, v = attempt.one_pass(time_s)
        written = credential.suite.write_g1(v).hex()
        return _secret(self._ask("POST", "/rps/onepass", {**hello, "time": time_s, "v": written}), "ticket")

    def _two_passes(
        self, credential: Credential, attempt: ClientLogin, hello: dict[str, object]
    ) -> tuple[SecretBytes, SecretBytes | None]:
        suite = credential.suite
        if attempt.r is not None:
            hello["r"] = suite.write_g1(attempt.r).hex()
        challenge = self._ask("POST", "/rps/pass1", hello)
        session = _hex(challenge, "session")
        try:
            y = suite.read_scalar(_hex(challenge, "y"))
        except BadScalar:
            raise BadAnswer("the server's y is no scalar of the suite") from None
        w = None if attempt.r is None else self._point(credential, challenge, "w")
        v = attempt.answer(y)
        answer = self._ask("POST", "/rps/pass2", {"session": session.hex(), "v": suite.write_g1(v).hex()})
        if w is None:
            return _secret(answer, "ticket"), None
        keys = attempt.keys(y, v, w)
        if not keys.server_confirmed(_hex(answer, "confirmation")):
            raise NotVerified(
                "server",
                "the server does not have the secret of this server in this realm",
                hint="it is an impostor, or the credential is of another realm: do not go on",
            )
        confirmation = keys.client_confirmation().hex()
        self._ask("POST", "/rps/confirm", {"session": session.hex(), "confirmation": confirmation})
        return keys.ticket, keys.session

    def _point(self, credential: Credential, answer: Mapping[str, Any], name: str) -> G1:
        try:
            return credential.suite.read_g1(_hex(answer, name))
        except BadPoint:
            raise BadAnswer(f"the server's {name} is no point of the group") from None

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        content = b""
        try:
            with self._http.stream(method, self._url + path, json=body) as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise BadAnswer("the server's answer is larger than any of its answers")
        except httpx.TimeoutException:
            raise TimedOut(f"{self._url} does not answer", hint="try again; a login is over after a minute") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise Unreachable(
                f"can't reach the authentication server {self._url}: {type(error).__name__}",
                hint="is it running, and the address right?",
            ) from None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise BadAnswer(f"{self._url} does not answer as an authentication server (HTTP {response.status_code})")
        if response.status_code != httpx.codes.OK:
            raise _refusal(answer, response.status_code)
        return answer


def _trusting(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except OSError as error:
        raise UsageError(f"can't read the certificates in {ca}: {error.strerror or type(error).__name__}") from None


def _refusal(answer: dict[str, Any], status: int) -> LoginRefused | BadAnswer:
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not isinstance(code, str) or code not in Refusal.__members__:
        return BadAnswer(f"the server refused with HTTP {status} and no reason that is known here")
    wait_s = error.get("retry_after_s")
    return LoginRefused(Refusal(code), retry_after_s=wait_s if type(wait_s) is int else None)


def _hex(answer: Mapping[str, Any], name: str) -> bytes:
    value = answer.get(name)
    try:
        return bytes.fromhex(value if isinstance(value, str) else "?")
    except ValueError:
        raise BadAnswer(f"the server's answer has no good {name}") from None


def _secret(answer: Mapping[str, Any], name: str) -> SecretBytes:
    value = _hex(answer, name)
    if len(value) != ID_BYTES:
        raise BadAnswer(f"the server's answer has no good {name}")
    return SecretBytes(value)


def redeem(url: str, ticket: SecretBytes, ca: Path | None = None) -> Mapping[str, Any]:
    """What a service does with a ticket: asks the authentication server who logged in. Raises as :class:`MfaClient`."""
    with MfaClient(url, ca) as client:
        return client._ask("POST", "/rps/authenticate", {"ticket": ticket.reveal().hex()})
