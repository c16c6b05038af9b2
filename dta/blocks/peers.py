"""Blocks from and to other fiduciaries' gateways (docs/spec/blocks.md, Fetching and Uploading).

A peer is trusted with nothing: what it serves is bounded while it arrives and hashed before it is kept.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from abci_app.cid import cid_of, digest_of
from dta.blocks.auth import PutSigner, put_headers
from dta.blocks.errors import BlockCorrupt, BlockMissing, BlockUnavailable
from dta.blocks.store import MAX_BLOCK_BYTES, BlockStore, check_size
from dta.blocks.threads import in_store

RAW_TYPE = "application/vnd.ipld.raw"
CLAIM_S = 300
"""An upload's signature is good for this long: slow lines and some clock skew fit."""

# httpx reads where a redirection leads though none is followed: of a host that is none that is a UnicodeError.
_BROKEN = (httpx.HTTPError, UnicodeError)
_MAX_REPLY_BYTES = 4096
_MAX_REPLY_CHARS = 300
_MAX_RETRY_DIGITS = 9


class _Failed(Exception):
    """One gateway did not serve the block. ``fault``: it served something else, which no honest one does.

    ``lacks``: it said itself that it has none.
    """

    def __init__(self, reason: str, fault: bool = False, lacks: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault
        self.lacks = lacks


@dataclass(frozen=True, slots=True)
class PeerFault:
    """What a gateway served that no honest one serves: the last case, and how many there were."""

    gateway: str
    reason: str
    cid: str
    count: int


class PeerFetcher:
    """Fetches blocks into ``store``: what it holds first, then each of ``gateways()``.

    ``gateways`` gives base URLs of the other fiduciaries' gateways, read anew for each fetch. The walk starts at a
    random one, so that load spreads; gateways caught serving wrong bytes come last, before them those that kept a fetch
    waiting the last time. ``client`` must not follow redirects to other hosts: it is asked not to follow any.

    A gateway that is slow holds up what it alone has: after ``patience_s`` the next one is asked beside it, and the
    first that serves the block is enough. It is asked for at most ``per_gateway`` blocks at once, each for at most
    ``attempt_s``; to wait for a place among them, for as long at most, is no attempt.
    """

    def __init__(
        self,
        store: BlockStore,
        gateways: Callable[[], list[str]],
        client: httpx.AsyncClient,
        attempt_s: float = 20.0,
        choose_start: Callable[[int], int] = secrets.randbelow,
        patience_s: float = 2.0,
        per_gateway: int = 16,
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._client = client
        self._attempt_s = attempt_s
        self._choose_start = choose_start
        self._patience_s = patience_s
        self._per_gateway = per_gateway
        self._places: dict[str, asyncio.Semaphore] = {}
        self._slow: set[str] = set()
        self._flights: dict[str, asyncio.Task[bytes]] = {}
        self._faults: dict[str, PeerFault] = {}

    async def fetch(self, cid: str) -> bytes:
        """The block of ``cid``, by then in the store too (not pinned).

        Concurrent calls for one CID share one flight; a caller that is cancelled leaves it to the others. Raises
        BadCid, BlockUnavailable with each gateway's reason, StoreFull.
        """
        digest_of(cid)
        flight = self._flights.get(cid)
        if flight is None:
            flight = asyncio.create_task(self._fetch(cid))
            self._flights[cid] = flight
            flight.add_done_callback(lambda done: self._landed(cid, done))
        return await asyncio.shield(flight)

    def faults(self) -> list[PeerFault]:
        """The gateways caught serving wrong bytes since this process started, by URL."""
        return [self._faults[gateway] for gateway in sorted(self._faults)]

    def _landed(self, cid: str, flight: asyncio.Task[bytes]) -> None:
        del self._flights[cid]
        if not flight.cancelled():
            flight.exception()  # seen, even where every caller has gone

    async def _fetch(self, cid: str) -> bytes:
        try:
            return await in_store(self._store.get, cid)
        except (BlockMissing, BlockCorrupt):
            pass
        block = await self._race(cid)
        await in_store(self._store.put, block, uploaded=False)
        return block

    async def _race(self, cid: str) -> bytes:
        """The block from the first gateway that serves it. Raises BlockUnavailable."""
        walk = self._walk()
        rest = iter(walk)
        asked: dict[asyncio.Task[bytes], str] = {}
        failed: dict[str, _Failed] = {}
        try:
            while True:
                gateway = next(rest, None)
                if gateway is not None:
                    asked[asyncio.create_task(self._ask(gateway, cid))] = gateway
                elif not asked:
                    raise BlockUnavailable(
                        cid, tuple((gateway, failed[gateway].reason) for gateway in walk),
                        is_nowhere=not walk or any(one.lacks or one.fault for one in failed.values()),
                    )  # fmt: skip
                done, _ = await asyncio.wait(
                    asked, timeout=None if gateway is None else self._patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        block = task.result()
                    except _Failed as reason:
                        failed[asked.pop(task)] = reason
                    else:
                        self._note_overtaken(asked[task], list(asked.values()))
                        return block
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    def _note_overtaken(self, winner: str, asked: list[str]) -> None:
        """Remember those that were asked before ``winner`` and have not answered yet."""
        self._slow.discard(winner)
        self._slow.update(asked[: asked.index(winner)])

    async def _ask(self, gateway: str, cid: str) -> bytes:
        """The block from one gateway, once it has a place. Raises _Failed."""
        places = self._places.setdefault(gateway, asyncio.Semaphore(self._per_gateway))
        try:
            async with asyncio.timeout(self._attempt_s):
                await places.acquire()
        except TimeoutError:
            raise _Failed("is asked for too many other blocks") from None
        try:
            async with asyncio.timeout(self._attempt_s):
                return await _download(self._client, gateway, cid)
        except TimeoutError:
            self._slow.add(gateway)
            raise _Failed("timed out") from None
        except _Failed as failed:
            if failed.fault:
                self._record(gateway, failed.reason, cid)
            if failed.lacks:
                self._slow.discard(gateway)
            raise
        finally:
            places.release()

    def _walk(self) -> list[str]:
        gateways = list(dict.fromkeys(self._gateways()))
        start = self._choose_start(len(gateways)) if gateways else 0
        # What left the ledger's state is forgotten: memory stays bounded.
        self._slow.intersection_update(gateways)
        self._places = {url: places for url, places in self._places.items() if url in gateways}
        return sorted(
            gateways[start:] + gateways[:start], key=lambda gateway: (gateway in self._faults, gateway in self._slow)
        )

    def _record(self, gateway: str, reason: str, cid: str) -> None:
        before = self._faults.get(gateway)
        self._faults[gateway] = PeerFault(gateway, reason, cid, before.count + 1 if before else 1)
        current = set(self._gateways())  # what left the ledger's state is forgotten: memory stays bounded
        self._faults = {url: fault for url, fault in self._faults.items() if url in current or url == gateway}


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What one gateway said to an upload. ``status``: the HTTP status, None where there was no answer.

    ``error`` is for people and empty where ``ok``; ``hint`` is the gateway's own, where it gave one. ``retry_after_s``:
    in how long it says that another try is worth it, where it does.
    """

    gateway: str
    ok: bool
    status: int | None = None
    error: str = ""
    hint: str = ""
    retry_after_s: float | None = None


class Uploader:
    """Uploads blocks to gateways, before the transaction that names them is sent. ``gid``: the ledger's, 32 bytes."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        gid: bytes,
        attempt_s: float = 60.0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._gid = gid
        self._attempt_s = attempt_s
        self._now_s = now_s

    async def upload(self, block: bytes, gateways: Sequence[str], signer: PutSigner | None) -> list[UploadResult]:
        """PUT ``block`` to every gateway at once: one result each, in their order; nothing is raised for one.

        ``signer`` None: an identity document of a subject that is not registered yet. Raises BlockTooLarge.
        """
        check_size(block)
        cid = cid_of(block)
        headers = {"Content-Type": RAW_TYPE}
        if signer is not None:
            headers |= put_headers(self._gid, cid, signer, int(self._now_s()) + CLAIM_S)
        return list(await asyncio.gather(*(self._upload(gateway, cid, block, headers) for gateway in gateways)))

    async def _upload(self, gateway: str, cid: str, block: bytes, headers: dict[str, str]) -> UploadResult:
        try:
            async with asyncio.timeout(self._attempt_s):
                request = self._client.build_request("PUT", _url(gateway, cid), content=block, headers=headers)
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    reply = await _read(response, _MAX_REPLY_BYTES)
                finally:
                    await response.aclose()
        except TimeoutError:
            return UploadResult(gateway, False, error="timed out")
        except _BROKEN as error:
            return UploadResult(gateway, False, error=_name(error))
        except _Failed as failed:
            return UploadResult(gateway, False, error=failed.reason)
        if response.status_code in (HTTPStatus.OK, HTTPStatus.CREATED):
            return UploadResult(gateway, True, response.status_code)
        error_text, hint = _explain(reply)
        return UploadResult(
            gateway, False, response.status_code, error_text or f"HTTP {response.status_code}", hint,
            _retry_after_s(response.headers.get("Retry-After", "")),
        )  # fmt: skip


async def _download(client: httpx.AsyncClient, gateway: str, cid: str) -> bytes:
    """The block from one gateway, hash checked. Raises _Failed."""
    # Identity encoding and raw bytes: what arrives is what is counted, nothing unpacks into more.
    headers = {"Accept": RAW_TYPE, "Accept-Encoding": "identity"}
    try:
        request = client.build_request("GET", _url(gateway, cid), params={"format": "raw"}, headers=headers)
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code != HTTPStatus.OK:
                missing = response.status_code == HTTPStatus.NOT_FOUND
                reason = "does not have it" if missing else f"HTTP {response.status_code}"
                raise _Failed(reason, lacks=missing)
            block = await _read(response, MAX_BLOCK_BYTES)
        finally:
            await response.aclose()
    except _BROKEN as error:
        raise _Failed(_name(error)) from error
    if cid_of(block) != cid:
        raise _Failed("served bytes with another hash", fault=True)
    return block


async def _read(response: httpx.Response, limit_bytes: int) -> bytes:
    """The body as it came over the wire. Raises _Failed past ``limit_bytes``, having kept no more than that."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        if len(body) + len(chunk) > limit_bytes:
            raise _Failed(f"served more than {limit_bytes} bytes", fault=True)
        body += chunk
    return bytes(body)


def _url(gateway: str, cid: str) -> httpx.URL:
    """The block's URL at a gateway's base URL. Raises _Failed where that is no HTTP URL."""
    try:
        url = httpx.URL(f"{gateway.rstrip('/')}/ipfs/{cid}")
        host = url.host  # decoded here: of "xn--" and its like httpx finds only now that they are none
    except (httpx.InvalidURL, ValueError):
        raise _Failed("is not a URL") from None
    if url.scheme not in ("http", "https") or not host or url.query or url.fragment:
        raise _Failed("is not the base URL of a gateway")
    return url


def _explain(reply: bytes) -> tuple[str, str]:
    """A gateway's (error, hint), each empty where it gave none; printable and short, for it is a stranger's text."""
    try:
        fields = json.loads(reply)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(fields, dict):
        return "", ""
    error, hint = (
        "".join(c for c in value if c.isprintable())[:_MAX_REPLY_CHARS] if isinstance(value, str) else ""
        for value in (fields.get("error"), fields.get("hint"))
    )
    return error, hint


def _retry_after_s(text: str) -> float | None:
    """Seconds; None for what is no such number (a date), and for one that is out of all reason."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_RETRY_DIGITS:
        return float(text)
    return None


def _name(error: Exception) -> str:
    return f"unreachable: {type(error).__name__}"
