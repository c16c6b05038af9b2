"""Bearer tokens of others: JWTs of the issuers that serve.toml names, verified by joserfc (OpenID Connect, RFC 9068).

An issuer's keys are fetched when a token needs one that is not known, once a minute at most. What the token itself says
decides neither the algorithm nor where keys come from.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dta.http.deadline import DeadlineTransport
from dta.service.access import Credential
from dta.service.settings import Issuer

_log = logging.getLogger(__name__)

MAX_TOKEN_CHARS: Final = 8_192
MAX_KEYS_BYTES: Final = 262_144
REFETCH_S: Final = 60.0
FETCH_S: Final = 10.0
WAIT_S: Final = FETCH_S + 2
"""For a fetching; what the system's resolver takes comes on top of the fetching's own deadline."""

LEEWAY_S: Final = 30
MAX_LIFETIME_S: Final = 86_400
"""A token that is good for longer is refused: it can't be revoked here."""

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """An issuer's keys, bounded in size and time. Raises httpx.HTTPError."""
    received = bytearray()
    with (
        httpx.Client(transport=DeadlineTransport(FETCH_S), trust_env=False, follow_redirects=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as response,
    ):
        response.raise_for_status()
        for chunk in response.iter_bytes():
            received += chunk
            if len(received) > MAX_KEYS_BYTES:
                raise httpx.DecodingError("the keys are too large")
    return bytes(received)


class _Keys:
    """The keys of one issuer. For one event loop."""

    def __init__(self, url: str, fetch: Fetch, monotonic_s: Callable[[], float], threads: ThreadPoolExecutor) -> None:
        self._url = url
        self._fetch = fetch
        self._monotonic_s = monotonic_s
        self._threads = threads
        self._known: KeySet | None = None
        self._fetched_s: float | None = None
        self._fetching: asyncio.Future[bytes] | None = None

    async def holding(self, kid: str | None) -> KeySet | None:
        """The keys, fetched again where there is none of this name. None where there are none.

        Who shows a name that is known waits for no fetching; who does not waits for one that is under way, without a
        thread of their own.
        """
        known = self._known
        if known is not None and (kid is None or any(key.kid == kid for key in known.keys)):
            return known
        if self._fetching is None and self._is_due():
            self._fetched_s = self._monotonic_s()
            self._fetching = asyncio.get_running_loop().run_in_executor(self._threads, self._fetch, self._url)
            self._fetching.add_done_callback(self._fetched)
        if self._fetching is not None:
            await asyncio.wait([self._fetching], timeout=WAIT_S)
        return self._known

    def _is_due(self) -> bool:
        return self._fetched_s is None or self._monotonic_s() - self._fetched_s >= REFETCH_S

    def _fetched(self, done: asyncio.Future[bytes]) -> None:
        self._fetching = None
        if done.cancelled():
            return
        try:
            self._known = KeySet.import_key_set(json.loads(done.result()))
        except Exception as error:  # whatever an issuer may answer with: its tokens are nobody's, and others' are good
            _log.warning("the keys at %s can't be taken: %s", self._url, type(error).__name__)


class Issuers:
    """Everybody who vouches for bearer tokens here."""

    def __init__(
        self, issuers: Sequence[Issuer], fetch: Fetch = fetch, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        # One thread each at most: an issuer that hangs keeps no other's keys away.
        self._threads = ThreadPoolExecutor(max(1, len(issuers)), thread_name_prefix="serve-issuer")
        self._issuers = {one.issuer: (one, _Keys(one.jwks, fetch, monotonic_s, self._threads)) for one in issuers}

    def close(self) -> None:
        """Waits for no fetching."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def credential(self, shown: str, now_s: int) -> Credential | None:
        """Whom a token is of: its issuer's subject, as serve.toml has it. None for any that is not good."""
        if len(shown) > MAX_TOKEN_CHARS or shown.count(".") != 2:
            return None
        head, claims = (_unverified(part) for part in shown.split(".")[:2])
        named = claims.get("iss")
        found = self._issuers.get(named) if isinstance(named, str) else None
        if found is None:
            return None
        issuer, keys = found
        kid = head.get("kid")
        known = await keys.holding(kid if isinstance(kid, str) else None)
        if known is None:
            return None
        try:
            token = jwt.decode(shown, known, algorithms=list(issuer.algorithms))
            _claims(issuer, now_s).validate(token.claims)
        except (JoseError, ValueError, TypeError):
            return None
        return _granted(issuer, token.claims, now_s)


def _claims(issuer: Issuer, now_s: int) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=now_s, leeway=LEEWAY_S, iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": issuer.audience}, exp={"essential": True}, sub={"essential": True},
    )  # fmt: skip


def _granted(issuer: Issuer, claims: dict[str, Any], now_s: int) -> Credential | None:
    if not isinstance(claims["exp"], int | float) or claims["exp"] > now_s + MAX_LIFETIME_S:
        return None
    for one in issuer.subjects:
        if one.subject == claims["sub"]:
            return Credential(f"{issuer.issuer} {one.subject}", frozenset(one.scopes), tuple(one.identities))
    return None


def _unverified(part: str) -> dict[str, Any]:
    """A part of a token before anything of it is believed: it only says whose keys to look at."""
    try:
        value = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
