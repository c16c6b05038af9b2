"""What the agent's parts ask of committed state, over the read socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state import as_of
from abci_app.state.records import IDENTITIES, chain
from dta.base.config import NodeConfig
from dta.base.errors import UsageError
from dta.client.identity import document
from dta.node.agent.state import StateClient, StateUnavailable
from dta.node.hooks.head import Head
from dta.node.hooks.tools import Pinned

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
_log = logging.getLogger(__name__)


class AgentLedger:
    """Committed state for the hooks (at the head only) and for the gateway (as it is)."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self.client = StateClient(config.state_socket)
        self.head = Head(config.max_state_age_s)
        self.gid = b""

    @contextmanager
    def pin_at_head(self) -> Iterator[Pinned]:
        """Newest state, where this node is at the head. Raises NotAtHead, StateUnavailable."""
        with self.client.pin() as now:
            self.head.require(now.time_s)
            yield now

    async def wait(self) -> None:
        """Until there is a block. Raises UsageError where the application is of another chain."""
        pause_s, said = FIRST_PAUSE_S, ""
        while True:
            try:
                self.gid = await asyncio.to_thread(self._read_gid)
                return
            except StateUnavailable as error:
                if error.message != said:
                    said = error.message
                    _log.info("waiting: %s", said)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _read_gid(self) -> bytes:
        with self.client.pin() as now:
            record = chain(now.proven)
            if record.chain_id != self._config.chain_id:
                raise UsageError(
                    f"the application is of the chain {record.chain_id}, this node of {self._config.chain_id}",
                    hint="chain_id in node.toml and genesis.json must agree",
                )
            return record.gid

    async def identity_keys(self, identity: bytes) -> list[bytes] | None:
        """See :data:`dta.node.gateway.server.IdentityKeys`."""
        return await asyncio.to_thread(self._identity_keys, identity)

    def _identity_keys(self, identity: bytes) -> list[bytes] | None:
        with self.client.pin() as now:
            record = IDENTITIES.find(now.view, identity)
            if record is None or as_of.identity(record, now.next_block) != identity_pb2.IDENTITY_STATUS_ACTIVE:
                return None
            return [key for key in (record.tx_key, record.node_key) if key]

    def is_identity_document(self, block: bytes) -> bool:
        """See :class:`dta.node.gateway.server.GatewayPorts`."""
        try:
            document.check(block, self.gid)
        except UsageError:
            return False
        return True
