"""What the runner asks of others: this node's CometBFT over RPC, and blocks from the store or from peers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import httpx

from abci_app.codes import Code
from dta.base.config import NodeConfig
from dta.base.errors import BadAnswer, RpcError, UsageError
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockCorrupt, BlockError, BlockMissing, BlockUnavailable
from dta.blocks.kubo import KuboStore
from dta.blocks.peers import PeerFetcher
from dta.blocks.store import BlockStore
from dta.blocks.threads import begin_in_store, in_store
from dta.client.ledger import requests
from dta.client.ledger.rpc import AsyncRpc
from dta.http.deadline import DeadlineTransport
from dta.node.agent.together import Together

MOST_READ: Final = 64
READERS: Final = 4
KUBO_TIMEOUT_S = 30.0
KUBO_DEADLINE_S = 120.0
"""Of a call in all. The longest is the list of a large Kubo's pins."""


class AgentNetwork:
    """A :class:`dta.node.agent.attempts.Network`."""

    def __init__(self, rpc: AsyncRpc, chain_id: str, store: BlockStore, fetcher: PeerFetcher) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._store = store
        self._fetcher = fetcher
        self._here = Together[tuple[str, bool], bytes](self._begin_reading, most=MOST_READ, lanes=READERS)

    async def catching_up(self) -> bool:
        """See :class:`dta.node.agent.attempts.Network`."""
        status = await self._rpc.call(requests.status())
        if status.chain_id != self._chain_id:
            raise BadAnswer(
                f"the CometBFT at {self._rpc.url} is of the chain {status.chain_id}, not {self._chain_id}",
                hint="correct rpc_url in node.toml",
            )
        return status.catching_up

    async def obtain(self, cid: str, pin: bool) -> bytes:
        """See :class:`dta.node.agent.attempts.Network`."""
        if isinstance(self._store, EmbeddedStore):  # a Kubo is asked for each by itself: it may be slow with one
            with suppress(BlockMissing, BlockCorrupt):
                return await self._here.ask((cid, pin))
        try:
            block = await self._fetcher.fetch(cid)
        except BlockUnavailable as error:
            if error.is_nowhere and self._store.is_pinned(cid):  # it was here, and this store lost it
                raise BlockUnavailable(cid, error.attempts, is_nowhere=False) from error
            raise
        if pin:
            await in_store(self._store.pin, cid)
        return block

    def _begin_reading(self, asked: Sequence[tuple[str, bool]]) -> Future[Sequence[bytes | Exception]]:
        return begin_in_store(_read_all, self._store, asked)

    async def broadcast(self, tx: bytes) -> tuple[int, str]:
        """See :class:`dta.node.agent.attempts.Network`."""
        try:
            answer = await self._rpc.call(requests.broadcast_tx_sync(tx))
        except RpcError as error:
            # CometBFT gives all of its refusals one number: only the text tells them apart.
            if "already exists in cache" in error.rpc_data:
                return Code.OK, ""
            if "mempool is full" in error.rpc_data:
                return Code.BUSY, error.rpc_data
            raise
        return answer.code, answer.log


def _read_all(store: BlockStore, asked: Sequence[tuple[str, bool]]) -> list[bytes | Exception]:
    """The blocks that are here, by then pinned where asked; for one that is not, what the store raised."""
    found = [_read(store, cid) for cid, _ in asked]
    wanted = [cid for (cid, pin), block in zip(asked, found, strict=True) if pin and isinstance(block, bytes)]
    lost: dict[str, Exception]
    try:
        lost = {cid: BlockMissing(cid) for cid in (store.pin_many(wanted) if wanted else ())}
    except (BlockError, OSError) as error:
        lost = dict.fromkeys(wanted, error)
    return [lost.get(cid, block) if pin else block for (cid, pin), block in zip(asked, found, strict=True)]


def _read(store: BlockStore, cid: str) -> bytes | Exception:
    try:
        return store.get(cid)
    except (BlockError, OSError) as error:
        return error


def open_store(config: NodeConfig) -> EmbeddedStore | KuboStore:
    """The block store that the configuration names; what it holds is not looked at yet: that is its ``open``.

    Raises BlockError, OSError, UsageError.
    """
    if config.blocks == "embedded":
        return EmbeddedStore(config.blocks_dir, look=False)
    if config.blocks == "kubo":
        if not config.kubo_api:
            raise UsageError("the block store is kubo, but kubo_api is not set", hint="set it in node.toml, [blocks]")
        transport = DeadlineTransport(KUBO_DEADLINE_S)
        return KuboStore(
            httpx.Client(base_url=config.kubo_api, timeout=KUBO_TIMEOUT_S, trust_env=False, transport=transport)
        )
    raise UsageError(f"there is no block store {config.blocks!r}", hint="embedded or kubo (node.toml, [blocks])")
