"""The fiduciaries' agents of a ledger in one process: the runner that ships, with what it works with.

Real: planning, jobs, proofs of what they read, bundles, signatures, the outbox, sending and sending again, fetching of
blocks, the software keystore. Of this process: the state that is read, the blocks' store, RPC, and time, which stands
at the chain's height. What a test may change of an agent is what a silent, a cheating fiduciary does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from google.protobuf.message import Message

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import statesocket_pb2
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.view import StateView
from abci_app.storage.statedb import SnapshotView
from dta.base.errors import JsonValue
from dta.blocks.peers import PeerFetcher
from dta.client.ledger.rpc import AsyncRpc
from dta.client.ledger.tx import SignedBytes
from dta.crypto.scalar import SecretScalar
from dta.custodians.hsm_realm import HsmRealm
from dta.custodians.plugin import CustodyContext, Entrusted
from dta.custodians.registry import Loaded
from dta.node.agent.due import WatchedDue
from dta.node.agent.network import AgentNetwork
from dta.node.agent.pins import peer_gateways
from dta.node.agent.proving import ProvenView
from dta.node.agent.runner import RunnerConfig
from dta.node.agent.state import StateUnavailable
from dta.node.ceremonies.shares import ShareUnusable, share_of
from dta.node.hooks.bundle import parts_of
from dta.node.hooks.errors import Retry
from dta.node.hooks.head import Head
from dta.node.hooks.hung import HungJobs
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.tools import Pinned, Tools
from tests.support.actors import Actor
from tests.support.committed import told_after
from tests.support.keystore import software_keystore
from tests.support.ticking import TickedRunner

if TYPE_CHECKING:
    from tests.support.order_flow import LiveChain

BLOCK_S = 5.0
BREAKS_AFTER = 7
# Nothing here may depend on how fast this machine is: what is ready waits for all that is being made.
CONFIG = RunnerConfig(job_timeout_s=600.0, resend_s=BLOCK_S, head_poll_s=0.0, gather_s=600.0)
ENDED_S = 300.0


@dataclass
class Agent:
    """A fiduciary's agent. ``silent``: kinds that it leaves undone.

    ``spoil`` gives another answer to a request than the custodian's, or None. ``together`` makes of the results that
    it would send in one transaction those that it sends.
    """

    chain: LiveChain
    founder: Actor
    directory: Path
    silent: set[DueKind] = field(default_factory=set)
    spoil: Callable[[pb.RequestRecord], bytes | None] = lambda request: None
    together: Callable[[list[Message]], list[Message]] | None = None
    config: RunnerConfig = CONFIG

    def __post_init__(self) -> None:
        self._runner: TickedRunner | None = None

    def restart(self) -> None:
        """It forgets all that is not on its disk, in its token or on the ledger."""
        self._runner = None

    def status(self) -> dict[str, JsonValue]:
        """What ``dta status`` shows of the runner."""
        return {} if self._runner is None else self._runner.status()

    async def act(self) -> None:
        """What it does between two blocks: one tick, and all that follows from it. Nothing where nothing is due."""
        owed = self.chain.replica.view.index_scan(DUE.under(self.founder.identity), limit=1)
        if next(owed, None) is None and not self.status().get("due"):
            return
        if self._runner is None:
            self._runner = self._made()
        try:
            await self._runner.tick()
        except StateUnavailable:  # once in a while: it reads all of it anew
            await self._runner.tick()
        while self._runner.status()["running"]:
            await asyncio.sleep(0.001)

    def _made(self) -> TickedRunner:
        chain, identity = self.chain, self.founder.identity
        self._keystore = software_keystore(self.directory / "keys", self.founder)
        self._head = Head(3_600, now_s=lambda: chain.replica.time_s, monotonic_s=self._now_s)
        rpc = AsyncRpc("http://own-node.test", transport=httpx.MockTransport(chain.own_node().handle))
        blocks = chain.gateways.store_of(self.founder)
        fetcher = PeerFetcher(
            blocks, lambda: peer_gateways(chain.replica.view, identity), chain.gateways.http(),
            choose_start=lambda _: 0,
        )  # fmt: skip
        tools = Tools(
            identity, chain.replica.gid, Loaded({"hsm-realm": Cheating(self)}, {}), lambda: self._keystore,
            self._pin, self._share_of,
        )  # fmt: skip
        outbox = Outbox(self.directory / "outbox", identity, chain.chain_id, chain.replica.gid)
        network = _Network(self, AgentNetwork(rpc, chain.chain_id, blocks, fetcher))
        owed = WatchedDue(_Reads(self._pin), _Told(self), identity)
        hung = HungJobs(self.directory / "hung-jobs.json")
        return TickedRunner(
            tools, network, self._head, outbox, hung, owed, chain.chain_id, self.config, self._now_s, lambda: 1.0
        )

    def _now_s(self) -> float:
        return BLOCK_S * self.chain.height

    @contextmanager
    def _pin(self) -> Iterator[Pinned]:
        replica = self.chain.replica
        self._head.require(replica.time_s)
        tree = self.chain.state.snapshot()
        try:
            view = _Committed(replica.view, tree, self.founder.identity, frozenset(self.silent))
            yield Pinned(view, replica.height, replica.time_s, ProvenView(view, tree.app_hash, tree.height))
        finally:
            tree.close()

    def _share_of(self, view: StateView, authority: bytes, epoch: int) -> SecretScalar:
        """From the trusted dealer of a key that has one; else as the agent does, from a ceremony's dealings."""
        dealt = self.chain.dealt.get(authority)
        if dealt is not None:
            assert epoch == dealt.epoch
            return SecretScalar(dealt.shares[self.founder.identity][1])
        try:
            return share_of(self._keystore, view, self.chain.replica.gid, self.founder.identity, authority, epoch)
        except ShareUnusable as error:
            raise Retry(str(error)) from None

    def resign(self, tx: bytes) -> list[bytes]:
        """The transactions that go out in place of ``tx``."""
        replica, message = self.chain.replica, SignedBytes.parse(tx, self.chain.replica.gid).message()
        assert self.together is not None
        return [replica.tx(self.founder, one, key=self.founder.node_key) for one in self.together(parts_of(message))]


@dataclass(frozen=True)
class _Reads:
    """The application's state, as the agent pins it."""

    pin: Callable[[], AbstractContextManager[Pinned]]


@dataclass
class _Told:
    """What the application tells of each block. Every seventh time the connection breaks."""

    agent: Agent
    waits: int = 0

    async def after(self, height: int) -> statesocket_pb2.StateChanged:
        self.waits += 1
        if self.waits % BREAKS_AFTER == 0:
            raise StateUnavailable("the connection broke")
        agent = self.agent
        changed = await told_after(agent.chain.committed, height, [DUE.under(agent.founder.identity)], ())
        hidden = tuple(DUE.under(agent.founder.identity, kind) for kind in agent.silent)
        for place in reversed(range(len(changed.index))):
            if changed.index[place].key.startswith(hidden):
                del changed.index[place]
        return changed

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class _Network:
    """The agent's network, behind which a cheat may send something else."""

    agent: Agent
    honest: AgentNetwork

    async def catching_up(self) -> bool:
        return await self.honest.catching_up()

    async def obtain(self, cid: str, pin: bool) -> bytes:
        return await self.honest.obtain(cid, pin)

    async def broadcast(self, tx: bytes) -> tuple[int, str]:
        if self.agent.together is None:
            return await self.honest.broadcast(tx)
        answers = [await self.honest.broadcast(one) for one in self.agent.resign(tx)]
        return next((answer for answer in answers if answer[0]), answers[0])


class Cheating(HsmRealm):
    """The custodian that ships, but for the answers that its fiduciary spoils."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def release(
        self, context: CustodyContext, entrusted: Entrusted, request: pb.RequestRecord, receiver_key: HpkeKey
    ) -> bytes:
        return self._agent.spoil(request) or super().release(context, entrusted, request, receiver_key)


@dataclass(frozen=True)
class _Committed:
    """A replica's state, with the proofs of its leaves; of what is due, a silent fiduciary's agent sees less."""

    view: StateView
    tree: SnapshotView
    fiduciary: bytes
    silent: frozenset[DueKind]

    def get(self, key: bytes) -> bytes | None:
        return self.view.get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self.view.scan(prefix, after, limit)

    def index_get(self, key: bytes) -> bytes | None:
        return None if self._is_hidden(key) else self.view.index_get(key)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        return (entry for entry in self.view.index_scan(prefix, after, limit) if not self._is_hidden(entry[0]))

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        proved = self.tree.prove_newest(key)
        return proved.value, proved.proof

    def _is_hidden(self, key: bytes) -> bool:
        return any(key.startswith(DUE.under(self.fiduciary, kind)) for kind in self.silent)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The agents' own event loop, in a thread of its own: blocks are made wherever a client waits for one."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agents", daemon=True).start()
    return loop


def act(agents: Sequence[Agent]) -> None:
    """What they do between two blocks, one after another, so that what they send has an order."""

    async def all_of_them() -> None:
        for agent in agents:
            await agent.act()

    asyncio.run_coroutine_threadsafe(all_of_them(), _loop()).result(ENDED_S)
