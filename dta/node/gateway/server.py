"""A fiduciary's gateway: blocks to anybody by their hash, uploads from identities (docs/spec/blocks.md).

It is the agent's, and listens at a unix socket; what strangers reach is the door before it (:mod:`dta.node.door`).
Reads are the IPFS Trustless Gateway's ``GET /ipfs/{cid}?format=raw`` for single raw blocks
(specs.ipfs.tech/http-gateways/trustless-gateway); only what the store holds is served, nothing is fetched for a reader.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from abci_app.cid import BadCid, cid_of, digest_of
from abci_app.crypto.ed25519 import verify
from abci_app.limits import MAX_IDENTITY_ENVELOPE_BYTES
from dta.base.config import ADDRESS_UPLOADS_PER_MINUTE, IDENTITY_UPLOADS_PER_MINUTE
from dta.blocks.auth import MAX_CLAIM_S, BadClaim, PutClaim, put_statement, read_claim
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreFull, StoreUnreachable
from dta.blocks.store import MAX_BLOCK_BYTES, BlockStore
from dta.blocks.threads import in_store
from dta.http.answers import Refused, allow, read_body, refusal, take
from dta.http.guard import Listening, client_address, listen, listen_at
from dta.http.quota import GaveWay, NoRoom, Outstanding, OverQuota, RateLimit, Room
from dta.node.gateway.claims import Claims

RAW_TYPE = "application/vnd.ipld.raw"
PROBE_CID = "bafkqaaa"
"""The empty block, which is its own name: by asking for it, clients learn that this is a Trustless Gateway."""
_TOO_MANY = "too many uploads in a short time"
# Looked at before others have their turn on the event loop.
_PAGE_BLOCKS = 1_000
_log = logging.getLogger(__name__)

IdentityKeys = Callable[[bytes], Awaitable[list[bytes] | None]]
"""The Ed25519 keys (32 bytes each) that may sign uploads for an identity; None unless it is active."""


GUESS_COST: Final = 10
"""Uploads of an address's rate that one costs whose signature is nobody's, or was counted before and stores nothing:
each has state asked for."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Where the gateway listens and what it bears. ``port`` 0: any free one.

    ``socket``: it listens at this path instead, to whom ``socket_mode`` lets in; that is a door, which says in
    ``X-Forwarded-For`` for whom it asks. ``grace_s``: so long an upload is kept that the ledger does not name;
    ``let_go_grace_s``: a block that it named and does not name any more.
    """

    socket: Path | None = None
    socket_mode: int = 0o600
    host: str = "127.0.0.1"
    port: int = 8180
    connection_s: float = 60.0  # one request a connection: 1 MiB within it is 17 kB/s
    body_s: float = 45.0
    lookup_s: float = 5.0
    max_connections: int = 128
    max_connections_per_address: int = 32
    trusted_proxies: frozenset[str] = frozenset()
    grace_s: float = 86_400.0
    let_go_grace_s: float = 600.0
    unpinned_bytes: int = 512 << 20
    identity_bytes: int = 16 << 20
    identity_uploads_per_minute: int = IDENTITY_UPLOADS_PER_MINUTE
    address_uploads_per_minute: int = ADDRESS_UPLOADS_PER_MINUTE
    document_bytes: int = 8 << 20
    document_bytes_per_address: int = 64 << 10
    documents_per_minute: int = 6


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """What the gateway asks of the agent. All of it but ``names`` is called once a request at most.

    ``is_identity_document`` gets a block of at most 16 KiB and says whether it is a well-formed document signed by
    the subject that it describes; it runs in a thread. ``status`` is the JSON object of ``GET /v1/status``,
    ``gateways`` the other fiduciaries' URLs, for ``GET /v1/gateways``: a door keeps places for them. ``names`` says at
    once, in any thread, whether the ledger names the block of this CID now.
    """

    identity_keys: IdentityKeys
    is_identity_document: Callable[[bytes], bool]
    status: Callable[[], Awaitable[Mapping[str, object]]]
    gateways: Callable[[], Sequence[str]] = tuple
    names: Callable[[str], bool] = lambda _: False


class Gateway:
    """The HTTP server over one store. ``start`` binds, ``stop`` unbinds; both once."""

    def __init__(
        self,
        store: BlockStore,
        gid: bytes,
        ports: GatewayPorts,
        config: GatewayConfig | None = None,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._gid = gid
        self._ports = ports
        self._config = config = config or GatewayConfig()
        self._now_s = now_s
        self._room = Room(config.unpinned_bytes, store.unpinned_bytes)
        self._identities = Outstanding(
            config.identity_bytes, config.unpinned_bytes, config.grace_s, monotonic_s
        )
        self._documents = Outstanding(
            config.document_bytes_per_address, config.document_bytes, config.grace_s, monotonic_s
        )
        self._address_rate = _rate(config.address_uploads_per_minute, monotonic_s)
        self._identity_rate = _rate(config.identity_uploads_per_minute, monotonic_s)
        self._document_rate = _rate(config.documents_per_minute, monotonic_s)
        self._claims = Claims(monotonic_s)
        self._listening: Listening | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; the (host, port) that was bound, or (path, 0). Raises OSError where it can't be."""
        config = self._config
        if config.socket is None:
            self._listening = await listen(self._answer, config)
        else:
            self._listening = await listen_at(self._answer, config, config.socket, config.socket_mode)
        return self._listening.address

    async def stop(self) -> None:
        """Stop listening, give requests in progress a few seconds, then cut them."""
        if self._listening is not None:
            await self._listening.stop()

    def named(self, cids: Iterable[str]) -> None:
        """The ledger names these, or did since they were uploaded: nobody is charged for them any more."""
        for cid in cids:
            self._identities.forget(cid)
            self._documents.forget(cid)

    async def look_at_all(self) -> None:
        """The ledger may name anything by now: who is charged for that is not any more."""
        charged = [*self._identities.cids(), *self._documents.cids()]
        for start in range(0, len(charged), _PAGE_BLOCKS):
            self.named(filter(self._ports.names, charged[start : start + _PAGE_BLOCKS]))
            await asyncio.sleep(0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._route(request)
        except Refused as refused:
            response = refusal(refused)
        except StoreUnreachable as error:
            _log.error("%s", error)
            response = refusal(
                Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the block store is down", "try again soon", 30.0)
            )
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            response = refusal(
                Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed", "the operator's log says why")
            )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        return response

    async def _route(self, request: web.BaseRequest) -> web.Response:
        path, method = request.path, request.method
        if path == "/v1/status":
            allow(method, "GET", "HEAD")
            return web.json_response(dict(await self._ports.status()), headers={"Cache-Control": "no-store"})
        if path == "/v1/gateways":
            allow(method, "GET", "HEAD")
            return web.json_response({"gateways": [*self._ports.gateways()]}, headers={"Cache-Control": "no-store"})
        if path == f"/ipfs/{PROBE_CID}":
            allow(method, "GET", "HEAD")
            return _block(request, PROBE_CID, b"")
        if path.startswith("/ipfs/"):
            allow(method, "GET", "HEAD", "PUT")
            cid = path.removeprefix("/ipfs/")
            try:
                digest_of(cid)
            except BadCid:
                raise Refused(
                    HTTPStatus.BAD_REQUEST,
                    "this is not the CID of a block",
                    "a block's CID is CIDv1, raw, sha2-256, in lower-case base32: 59 characters from 'bafkrei'",
                ) from None
            return await (self._put(request, cid) if method == "PUT" else self._get(request, cid))
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here", "blocks are under /ipfs/{cid}?format=raw")

    async def _get(self, request: web.BaseRequest, cid: str) -> web.Response:
        _require_raw(request)
        try:
            block = await in_store(self._store.get, cid)
        except (BlockMissing, BlockCorrupt):
            raise Refused(
                HTTPStatus.NOT_FOUND, "the block is not here", "another fiduciary's gateway may have it"
            ) from None
        return _block(request, cid, block)

    async def _put(self, request: web.BaseRequest, cid: str) -> web.Response:
        address = client_address(request, self._config.trusted_proxies)
        take(self._address_rate, address, _TOO_MANY)
        try:
            claim = read_claim(request.headers)
        except BadClaim as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error), "docs/spec/blocks.md, Uploading") from None
        if claim is None:
            return await self._put_document(request, cid, address)
        return await self._put_claimed(request, claim, cid, address)

    async def _put_claimed(self, request: web.BaseRequest, claim: PutClaim, cid: str, address: str) -> web.Response:
        """An upload, counted once for each claim: what a fiduciary got signed it can send to all others, and again.

        A repeat may be its owner's all the same, whose first try failed, or comes after another's of the same claim. So
        it is an upload like any until one has stored the block, but that its address pays for it where it does not.
        """
        claimed = (claim.identity, cid, claim.expires_s)
        try:
            self._check_time(claim)
            if self._claims.is_done(claimed, claim.signature) and await in_store(self._is_whole, cid):
                # Nobody is charged, and it is kept no longer: its owner may have been done with it since.
                await self._read_block(request, cid, MAX_BLOCK_BYTES)
                return _stored(cid, HTTPStatus.OK)
            await self._check_signature(claim, cid)
        except Refused as refused:
            if refused.status == HTTPStatus.FORBIDDEN:
                self._address_rate.charge(address, GUESS_COST - 1)
            raise
        is_repeat = self._claims.is_counted(claimed)
        if is_repeat:
            self._address_rate.charge(address, GUESS_COST - 1)
        else:
            # Only now: counted before the signature was checked, anybody could use up anybody's rate.
            take(self._identity_rate, claim.identity, _TOO_MANY)
            self._claims.count(claimed, claim.signature)
        block = await self._read_block(request, cid, MAX_BLOCK_BYTES)
        answer = await self._store_block(cid, block, self._identities, claim.identity)
        self._claims.done(claimed)
        if is_repeat:
            self._address_rate.charge(address, 1 - GUESS_COST)  # given back
        return answer

    def _is_whole(self, cid: str) -> bool:
        try:
            self._store.get(cid)
        except (BlockMissing, BlockCorrupt):
            return False
        return True

    async def _put_document(self, request: web.BaseRequest, cid: str, address: str) -> web.Response:
        take(self._document_rate, address, _TOO_MANY)
        block = await self._read_block(request, cid, MAX_IDENTITY_ENVELOPE_BYTES)
        if not await asyncio.to_thread(self._ports.is_identity_document, block):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "an unsigned upload must be an identity document that its subject signed",
                "sign the upload as a registered identity (headers DTA-Identity, DTA-Expires, DTA-Signature)",
            )
        return await self._store_block(cid, block, self._documents, address)

    def _check_time(self, claim: PutClaim) -> None:
        left_s = claim.expires_s - self._now_s()
        if left_s <= 0 or left_s > MAX_CLAIM_S:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "the upload's signature has expired" if left_s <= 0 else "the upload's signature is good for too long",
                f"sign for at most {MAX_CLAIM_S} seconds from now, and check this machine's clock",
            )

    async def _check_signature(self, claim: PutClaim, cid: str) -> None:
        try:
            async with asyncio.timeout(self._config.lookup_s):
                keys = await self._ports.identity_keys(claim.identity)
        except Exception as error:
            _log.warning("an uploader's identity could not be looked up: %r", error)
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "the ledger's state can't be read now", "try again soon", 5.0
            ) from None
        if keys is None:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "the identity is not active on this ledger",
                "register it, or wait until this fiduciary has caught up with the ledger",
            )
        statement = put_statement(self._gid, cid, claim.identity, claim.expires_s)
        if not any(verify(key, statement, claim.signature) for key in keys):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "the upload's signature does not verify",
                "sign with the identity's current transaction key, for this ledger and this CID",
            )

    async def _read_block(self, request: web.BaseRequest, cid: str, limit_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(self._config.body_s):
                block = await read_body(request, limit_bytes, _too_large(limit_bytes))
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT, "the block took too long to arrive", "try again on a better line"
            ) from None
        if cid_of(block) != cid:
            raise Refused(
                HTTPStatus.BAD_REQUEST,
                "the block's hash is not the CID it was sent under",
                "send the block's exact bytes, without Content-Encoding",
            )
        return block

    async def _store_block(self, cid: str, block: bytes, quota: Outstanding, owner: bytes | str) -> web.Response:
        known = self._store.has(cid)
        try:
            await self._make_room(quota, owner, cid, len(block))
            with ExitStack() as held:
                if self._takes_room(cid):
                    held.enter_context(self._room.reserving(len(block)))
                if self._is_charged_for(cid):
                    held.enter_context(quota.charging(owner, cid, len(block)))
                await in_store(self._store.put, block)
        except OverQuota as error:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {error.limit_bytes} bytes are waiting for a transaction that names them",
                "place the orders that the uploads are for, or wait until the uploads expire",
                self._config.grace_s,
            ) from None
        except (NoRoom, StoreFull) as error:
            if isinstance(error, GaveWay):
                await in_store(self._store.discard, cid, self._is_needed)
            _log.warning("an upload found no room: %r", error)
            raise Refused(
                HTTPStatus.INSUFFICIENT_STORAGE, "this fiduciary has no room for the block", "its operator must act"
            ) from None
        return _stored(cid, HTTPStatus.OK if known else HTTPStatus.CREATED)

    async def _make_room(self, quota: Outstanding, owner: bytes | str, cid: str, size_bytes: int) -> None:
        """Let go of blocks that the ledger does not name, of whoever has most, as far as this one needs their room."""
        while self._over(quota, owner, cid, size_bytes) > 0:
            displaced = quota.displaced(owner, size_bytes)
            if displaced is None:
                return
            for gone in displaced:
                await in_store(self._store.discard, gone, self._is_needed)

    def _over(self, quota: Outstanding, owner: bytes | str, cid: str, size_bytes: int) -> int:
        """By how many bytes it would exceed what all may have together; not above zero where it fits."""
        is_charged_anew = self._is_charged_for(cid) and not quota.is_charged(cid, owner)
        return max(
            quota.over(size_bytes) if is_charged_anew else 0,
            self._room.over(size_bytes) if self._takes_room(cid) else 0,
        )

    def _takes_room(self, cid: str) -> bool:
        """Whether it is no upload that is held already."""
        return not self._store.has(cid) or self._store.is_let_go(cid)

    def _is_charged_for(self, cid: str) -> bool:
        """Whether who uploads it is charged for it: nothing names it."""
        return not self._store.is_pinned(cid) and not self._ports.names(cid)

    def _is_needed(self, cid: str) -> bool:
        """Whether the ledger names what gave way a moment ago, or somebody uploads it again. In the store's thread."""
        return self._ports.names(cid) or self._identities.is_charged(cid) or self._documents.is_charged(cid)


def _stored(cid: str, status: HTTPStatus) -> web.Response:
    return web.json_response({"cid": cid}, status=status)


def _require_raw(request: web.BaseRequest) -> None:
    if not _accepts_raw(request):
        raise Refused(
            HTTPStatus.NOT_ACCEPTABLE,
            "only raw blocks are served",
            f"ask with ?format=raw, or with the header Accept: {RAW_TYPE}",
        )


def _block(request: web.BaseRequest, cid: str, block: bytes) -> web.Response:
    _require_raw(request)
    headers = {
        "Cache-Control": "public, max-age=29030400, immutable",
        "Content-Disposition": f'attachment; filename="{cid}.bin"',
        "Content-Type": RAW_TYPE,
        "Etag": f'"{cid}.raw"',
        "Vary": "Accept",
        "X-Ipfs-Path": f"/ipfs/{cid}",
    }
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    if known & {headers["Etag"], "*"}:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=block, headers=headers)


def _accepts_raw(request: web.BaseRequest) -> bool:
    """Whether raw is asked for: ``format`` decides where it is given (IPIP-523), or else ``Accept``.

    A bare ``*/*`` is no wish for raw bytes: the specification has a client ask for them by name.
    """
    wanted = request.rel_url.query.get("format")
    if wanted is not None:
        return wanted == "raw"
    accept = ",".join(request.headers.getall("Accept", []))
    for media_range in accept.split(","):
        name, *parameters = (part.strip().lower() for part in media_range.split(";"))
        if name == RAW_TYPE and not any(part.startswith("q=0") and not part[3:].strip(".0") for part in parameters):
            return True
    return False


def _too_large(limit_bytes: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the block is over {limit_bytes} bytes",
        "identity documents have a limit of their own; larger records go into several envelopes",
    )


def _rate(per_minute: int, monotonic_s: Callable[[], float]) -> RateLimit:
    return RateLimit(per_minute, per_minute, monotonic_s)
