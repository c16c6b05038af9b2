"""Envelopes on their way: to the gateways of the fiduciaries that an order names, and back, by blocking calls.

A copy of every envelope that this home made or fetched is kept in ``envelopes/<cid>``: what is secret in them is
sealed, and their name is their hash, so a copy is checked like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from abci_app.cid import cid_of, digest_of
from dta.base.home import make_directory, write_file
from dta.base.place import PlaceFailure
from dta.blocks.auth import PutSigner
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockUnavailable
from dta.blocks.peers import PeerFetcher, Uploader, UploadResult
from dta.client.custody.errors import BlockNotFound, UploadIncomplete

# A fiduciary whose ledger is just starting again says 503: that passes in seconds. So does a rate (429), mostly: it
# says itself when.
BUSY_PATIENCE_S = 30.0
BUSY_PAUSE_S = 1.0

HttpClient = Callable[[], httpx.AsyncClient]


def http_by(verify: ssl.SSLContext | bool) -> HttpClient:
    """Makes clients of gateways for whose certificates ``verify`` vouches (:func:`dta.http.tls.vouched_by`)."""

    def make() -> httpx.AsyncClient:
        # trust_env off: what is uploaded is nobody's business on the way.
        return httpx.AsyncClient(trust_env=False, verify=verify, timeout=httpx.Timeout(60.0, connect=10.0))

    return make


class Blocks:
    """Uploads and fetches for one ledger. ``http`` makes the client for each call."""

    def __init__(self, directory: Path, gid: bytes, http: HttpClient | None = None) -> None:
        self._directory = directory
        self._gid = gid
        self._http = http or http_by(verify=True)

    def keep(self, block: bytes) -> str:
        """Keeps a copy in the home, durably. Returns its CID."""
        cid = cid_of(block)
        write_file(make_directory(self._directory) / cid, block)
        return cid

    def kept(self, cid: str) -> bytes | None:
        """The home's copy, if there is one and its hash is right."""
        digest_of(cid)
        try:
            block = (self._directory / cid).read_bytes()
        except OSError:
            return None
        return block if cid_of(block) == cid else None

    def upload(
        self,
        block: bytes,
        gateways: Mapping[bytes, Sequence[str]],
        signer: PutSigner,
        allow_missing: int = 0,
    ) -> list[bytes]:
        """PUT ``block`` to the gateways of every fiduciary (identity id -> base URLs); one of each must take it.

        Returns the fiduciaries that did not, at most ``allow_missing``. Raises UploadIncomplete for more.
        """
        urls = list(dict.fromkeys(url for of_one in gateways.values() for url in of_one))
        results = {result.gateway: result for result in asyncio.run(self._upload(block, urls, signer))}
        missed: list[tuple[bytes, Sequence[UploadResult]]] = []
        for fiduciary, of_one in gateways.items():
            answers = [results[url] for url in of_one]
            if not any(answer.ok for answer in answers):
                missed.append((fiduciary, answers))
        if len(missed) > allow_missing or len(missed) == len(gateways):
            raise UploadIncomplete(cid_of(block), missed, allow_missing)
        return [fiduciary for fiduciary, _ in missed]

    async def _upload(self, block: bytes, urls: Sequence[str], signer: PutSigner) -> list[UploadResult]:
        async with self._http() as client:
            uploader = Uploader(client, self._gid)
            results = await uploader.upload(block, urls, signer)
            give_up_s = time.monotonic() + BUSY_PATIENCE_S
            return await asyncio.gather(*(_while_busy(uploader, block, one, signer, give_up_s) for one in results))

    def fetch(self, cid: str, gateways: Sequence[str]) -> bytes:
        """The block of ``cid`` from the home or the first gateway that has it. Raises BlockNotFound."""
        block = self.kept(cid)
        if block is not None:
            return block
        try:
            block = asyncio.run(self._fetch(cid, list(gateways)))
        except BlockUnavailable as error:
            raise BlockNotFound(cid, error.attempts) from None
        with contextlib.suppress(PlaceFailure):  # a copy spares the next fetch, no more
            self.keep(block)
        return block

    async def _fetch(self, cid: str, gateways: list[str]) -> bytes:
        with TemporaryDirectory(prefix="dta-fetch-") as directory:
            store = EmbeddedStore(Path(directory))
            try:
                async with self._http() as client:
                    return await PeerFetcher(store, lambda: gateways, client).fetch(cid)
            finally:
                store.close()


async def _while_busy(
    uploader: Uploader, block: bytes, result: UploadResult, signer: PutSigner, give_up_s: float
) -> UploadResult:
    """Its answer, or the last one where it is asked again: as long as that is worth it before ``give_up_s``."""
    while (pause_s := _pause_s(result)) is not None and time.monotonic() + pause_s <= give_up_s:
        await asyncio.sleep(pause_s)
        [result] = await uploader.upload(block, [result.gateway], signer)
    return result


def _pause_s(result: UploadResult) -> float | None:
    """In how long to ask again; None where that would be the same."""
    if result.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return BUSY_PAUSE_S
    if result.status == HTTPStatus.TOO_MANY_REQUESTS and result.retry_after_s is not None:
        return max(result.retry_after_s, BUSY_PAUSE_S)
    return None
