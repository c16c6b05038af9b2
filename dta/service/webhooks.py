"""Webhooks by Standard Webhooks: thin bodies, signed, to addresses that were resolved once and checked.

Nothing waits for a receiver. Its place (:class:`dta.service.news.Place`) is kept in ``serve/webhooks/NAME.json``, once
for each page of events, where one was not taken, and where the agent stops: after a crash those of a page may come
again (with the same ``webhook-id``), none is left out that was tried for less than a day.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import os
import socket
import stat
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from dta.base.errors import UsageError
from dta.base.home import make_directory, read_file, write_file
from dta.base.jsonfile import JsonFile
from dta.base.secret import SecretBytes
from dta.http.tls import vouched_by
from dta.service.news import News, Place, Told, reached
from dta.service.problems import kind_of
from dta.service.settings import Webhook

_log = logging.getLogger(__name__)

PREFIX: Final = "whsec_"
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
FORMAT: Final = "dta-serve-webhook-1"
FIRST_RETRY_S: Final = 5.0
LAST_RETRY_S: Final = 3_600.0
GIVE_UP_S: Final = 86_400.0
ATTEMPT_S: Final = 15.0
POLL_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 4_096
_MAX_FILE_BYTES: Final = 1_048_576
_MAX_WAITS: Final = 20_000

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given out for hosts on the internet (IANA's registry of address space)."""

_NO_HOST: Final = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
)
"""In what is given out, and no receiver's: protocols' own, relays of 6to4, Teredo and 6to4, documentation (RFC 9637).
Not every Python that we run on knows all of them."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]


class AddressRefused(UsageError):
    """A receiver's name leads to an address that is nobody's business, and is not listed."""

    kind = "address-refused"


def load_secret(path: Path) -> SecretBytes:
    """A ``whsec_`` secret out of a file of this user's alone. Raises UsageError, which does not repeat it."""
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"{path} is open to others", hint=f"chmod 600 {path}")
    text = read_file(path, "a webhook's secret", _MAX_FILE_BYTES).decode("ascii", "replace").strip()
    try:
        secret = b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(PREFIX) or not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise UsageError(
            f"{path} holds no secret of a webhook",
            hint=f"{PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64",
        )
    return SecretBytes(secret)


def signature(secrets: Sequence[SecretBytes], id_: str, at_s: int, body: bytes) -> str:
    """``webhook-signature``: one ``v1,`` entry for each secret, so that receivers can change theirs at leisure."""
    signed = f"{id_}.{at_s}.".encode() + body
    made = (hmac.digest(secret.reveal(), signed, "sha256") for secret in secrets)
    return " ".join("v1," + b64encode(one).decode("ascii") for one in made)


def checked_address(host: str, found: Sequence[str], allowed: Sequence[str], *, is_tls: bool = True) -> str:
    """The one address that is called: each that the name has must be public, or listed. Raises AddressRefused.

    Without TLS each must be listed: what is sent could be read and changed on the way to a public one.
    """
    if not found:
        raise AddressRefused(f"{host} has no address")
    listed = {ipaddress.ip_address(text) for text in allowed}
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if address not in listed and not (is_tls and is_public(address)):
            raise AddressRefused(f"{host} leads to {text}", hint="list it under allow in serve.toml if it is meant")
    return found[0]


def is_public(address: Address) -> bool:
    """Whether it is a host's on the internet, and stands for no other: not mapped, 6to4, Teredo or NAT64."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    if any(address in network for network in _NO_HOST):
        return False
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> list[str]:
    """A name's addresses, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(slots=True)
class Delivered:
    """How far a receiver has come. ``since_s``: since when the next event is tried; 0: it was not yet."""

    place: Place
    since_s: int = 0

    @staticmethod
    def load(path: Path) -> Delivered | None:
        """None where there is no file yet: events begin with what is new then."""
        if not path.exists():
            return None
        content = read_file(path, "a webhook's place", _MAX_FILE_BYTES)
        file = JsonFile.parse(content, str(path), FORMAT)
        file.only("after", "waits", "since_s")
        waits = file.texts("waits", _MAX_WAITS)
        return Delivered(Place(file.number("after", 0, 1 << 40), frozenset(waits)), file.number("since_s", 0, 1 << 53))

    def save(self, path: Path) -> None:
        """Durably. Of more items than a file has room for, what is left out comes again after a restart."""
        content = {
            "format": FORMAT, "after": self.place.number, "waits": sorted(self.place.waits)[:_MAX_WAITS],
            "since_s": self.since_s,
        }  # fmt: skip
        write_file(make_directory(path.parent) / path.name, json.dumps(content).encode())


class Sender:
    """Sends the events of one webhook, in order. ``look`` gives what is new since a place; without one, a place."""

    def __init__(
        self,
        hook: Webhook,
        home: Path,
        look: Callable[[Place | None], Awaitable[Told]],
        *,
        now_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        resolve: Resolve = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises UsageError for a URL without TLS where no address is listed for it, for secrets or an authority's file
        that are none."""
        self._hook = hook
        self._look = look
        self._now_s = now_s
        self._sleep = sleep
        self._resolve = resolve
        self._transport = transport
        self._path = home / "serve" / "webhooks" / f"{hook.name}.json"
        self._is_tls = hook.url.startswith("https://")
        if not self._is_tls and not hook.allow:
            raise UsageError(f"the webhook {hook.name} has no TLS", hint="https://, or list its address under allow")
        if os.sep in hook.name or hook.name.startswith("."):
            raise UsageError(f"a webhook's name is a file's name, not {hook.name!r}")
        self._verify = vouched_by(home / hook.ca_file if hook.ca_file else None)
        self._secrets = [load_secret(home / one) for one in hook.secret_files]
        self._delivered = Delivered.load(self._path)

    async def run(self) -> None:
        """For ever. What goes wrong is tried again, whatever it is: a receiver would miss events, and nobody notice."""
        while True:
            try:
                await self.once()
            except Exception as error:
                _log.warning("events for the webhook %s can't be read: %s", self._hook.name, kind_of(error))
            await self._sleep(POLL_S)

    async def once(self) -> None:
        """Sends everything that is new, each until it is taken or was tried for a day."""
        if self._delivered is None:
            self._delivered = Delivered((await self._look(None)).place)
            await self._keep(self._delivered)
        while True:
            told = await self._look(self._delivered.place)
            await self._deliver_all(told.news, self._delivered)
            if self._delivered.place != told.place:  # what was told of, and of that what does not wait any more
                self._delivered.place = told.place
                await self._keep(self._delivered)
            if told.is_all:
                return

    async def _deliver_all(self, told: Sequence[News], delivered: Delivered) -> None:
        """One after the other. Where it is kept from the rest, who goes on begins with what was not taken."""
        begun, count = delivered.place, 0
        try:
            for count, news in enumerate(told):
                if not await self._deliver_once(news, delivered):
                    delivered.place = reached(begun, told[:count])
                    await self._keep(delivered)
                    await self._deliver_late(news, delivered)
                delivered.since_s = 0
        except BaseException:
            delivered.place = reached(begun, told[:count])
            with suppress(UsageError):  # what can't be kept is told again after a restart
                delivered.save(self._path)
            raise

    async def _deliver_once(self, news: News, delivered: Delivered) -> bool:
        is_repeat = delivered.since_s > 0
        delivered.since_s = delivered.since_s or int(self._now_s())
        return await self._attempt(news, is_repeat=is_repeat)

    async def _deliver_late(self, news: News, delivered: Delivered) -> None:
        """What was not taken at once, until it is, or a day is over."""
        retry_s = FIRST_RETRY_S
        while self._now_s() - delivered.since_s < GIVE_UP_S:
            await self._sleep(retry_s)
            if await self._attempt(news, is_repeat=True):
                return
            retry_s = min(retry_s * 2, LAST_RETRY_S)
        _log.warning("the webhook %s never took event %s", self._hook.name, news.key)

    async def _keep(self, delivered: Delivered) -> None:
        """Durably, in a thread: a slow disk holds nobody up."""
        await asyncio.to_thread(delivered.save, self._path)

    async def _attempt(self, news: News, *, is_repeat: bool) -> bool:
        """Whether the receiver took it: any answer of 200 to 299. A redirect is none."""
        at_s = int(self._now_s())
        id_ = f"{self._hook.identity}.{news.key}"
        body = json.dumps({"type": news.type, "data": news.data.model_dump(by_alias=True)}).encode()
        url = httpx.URL(self._hook.url)
        try:
            port = url.port or (443 if self._is_tls else 80)
            headers = {
                "Content-Type": "application/json", "Host": url.netloc.decode("ascii"), "webhook-id": id_,
                "webhook-timestamp": str(at_s), "webhook-signature": signature(self._secrets, id_, at_s, body),
                "Accept-Encoding": "identity",
            }  # fmt: skip
            if is_repeat:
                headers["DTA-Repeat"] = "true"
            async with asyncio.timeout(ATTEMPT_S):
                found = await self._resolve(url.host, port)
                address = checked_address(url.host, found, self._hook.allow, is_tls=self._is_tls)
                return await self._post(url.copy_with(host=address), url.host, headers, body)
        except (TimeoutError, httpx.HTTPError, OSError, AddressRefused, ValueError) as error:
            _log.warning("the webhook %s took no event: %s", self._hook.name, type(error).__name__)
            return False

    async def _post(self, url: httpx.URL, name: str, headers: dict[str, str], body: bytes) -> bool:
        client = httpx.AsyncClient(
            transport=self._transport, verify=self._verify, trust_env=False, follow_redirects=False, timeout=ATTEMPT_S
        )
        # The connection goes to the address that was checked; TLS is for the name.
        async with client, client.stream(
            "POST", url, content=body, headers=headers, extensions={"sni_hostname": name}
        ) as response:
            received = 0
            async for chunk in response.aiter_raw():
                received += len(chunk)
                if received > MAX_ANSWER_BYTES:
                    break
            return response.is_success
