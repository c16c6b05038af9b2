"""A whole ledger in one process: the real state machine under a real tree, headers and commits signed by its
validators, fiduciaries whose agents are the real ones (tests/support/agents.py), gateways that check what they are
given.

A block is made whenever the client sleeps. What a test may change is what liars and the unlucky change: a node's
answers, a gateway that is down, a fiduciary that is silent or answers with a bad share.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import transition
from abci_app.block import Changes, Time, TxResult
from abci_app.cid import cid_of
from abci_app.crypto import ed25519
from abci_app.errors import Refusal
from abci_app.hashing import u32
from abci_app.identities import documents
from abci_app.mempool import Mempool
from abci_app.params import default_params
from abci_app.pb.dta.v1 import authority_pb2, params_pb2, tx_pb2
from abci_app.server.changes import CommittedChanges
from abci_app.state.memory_view import MemoryView
from abci_app.state.records import AUTHORITY_NUMBERS, IDENTITIES
from dta.blocks.auth import put_statement, read_claim
from dta.client.custody.blocks import Blocks
from dta.client.custody.session import Party, Session, Step
from dta.client.ledger.ledger import Ledger
from dta.custodians.hsm_realm import HsmRealm
from dta.hsm import labels
from tests.support.actors import Actor, seeded
from tests.support.agents import Agent, act
from tests.support.authority import Dealt, install_new, reshare
from tests.support.chain import CHAIN_ID, Chain, make_genesis
from tests.support.keystore import MemoryKeystore
from tests.support.light_chain import START_S, ClockedRpc, Node, RpcFailure, hexed
from tests.support.light_chain import Chain as LightChain
from tests.support.memory_blocks import MemoryBlockStore

REALM = HsmRealm()


def gateway_url(number: int) -> str:
    """Where the gateway of founder ``number`` is."""
    return f"http://gateway-{number}.test:8080"


class Replica(Chain):
    """The state machine, its founders with gateways."""

    def __init__(self, fiduciaries: int, params: params_pb2.Params) -> None:
        self.founders = [Actor(f"fiduciary-{n}", fiduciary=True, gateway=gateway_url(n)) for n in range(fiduciaries)]
        self.genesis, self.gid = make_genesis(self.founders, params)
        self.view = MemoryView()
        self.height, self.time_s = 0, START_S
        self.mempool, self.blocks = Mempool(), []
        self._salts = iter(range(1_000_000))


class LiveChain(LightChain):
    """Executes transactions, and has each block signed."""

    def __init__(self, fiduciaries: int = 4, params: params_pb2.Params | None = None) -> None:
        self.replica = Replica(fiduciaries, params or default_params())
        group = tuple((SigningKey(seeded("validator", one.name)), 10) for one in self.replica.founders)
        super().__init__(group, CHAIN_ID, self.replica.gid)
        self._genesis = ()
        self.pending: list[bytes] = []
        self.dealt: dict[bytes, Dealt] = {}
        self._written: dict[bytes, bytes | None] = {}
        self.committed = CommittedChanges(0, 0)
        self.gateways = Gateways(self)
        self.agents = [Agent(self, founder, self._directory(founder)) for founder in self.replica.founders]

    def _directory(self, founder: Actor) -> Path:
        """An agent's, which goes with the chain."""
        made = tempfile.mkdtemp(prefix=f"dta-{founder.name}-")
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return Path(made)

    def own_node(self) -> LiveNode:
        """The CometBFT of a fiduciary's node: tells its agent the truth."""
        return LiveNode(self)

    def make_block(self, after_s: int = 0) -> tuple[TxResult, ...]:
        """One block of what is pending and of what the fiduciaries owe, ``after_s`` later than it would come."""
        if self.height:
            act(self.agents)
        txs, self.pending = [*dict.fromkeys(self.pending)], []
        leaves: dict[bytes, bytes | None] = {}
        if not self.height:
            first = transition.init_chain(self.replica.genesis)
            self.replica.view.apply(first)
            leaves = dict(first.leaves)
        result = self.replica.block(*txs, seconds=self.seconds_passed() + after_s)
        written, self._written = self._written, {}
        leaves |= {**written, **dict(result.changes.leaves)}
        self.add(list(leaves.items()), txs, result.tx_results)  # type: ignore[arg-type]
        if written:  # by no block: who follows reads it anew, as after a start of the application
            self.committed = CommittedChanges(self.replica.height, self.replica.time_s)
        else:
            self.committed.record(self.replica.height, Time(self.replica.time_s), result.changes)
        return result.tx_results

    def seconds_passed(self) -> int:
        """Since the block before, when one is made."""
        return 5

    def deal(self, purpose: authority_pb2.Purpose, seed: object = 0, name: str = "key") -> Dealt:
        """A key of all founders from a trusted dealer; in a proved state from the next block on."""
        dealt = install_new(self.replica, purpose, seed=seed)
        dealt.name = name
        self.dealt[dealt.id] = dealt
        self.write({**dealt.leaves(), **self.numbered(dealt.id)})
        return dealt

    def numbered(self, authority: bytes) -> dict[bytes, bytes]:
        """The leaves that list the key that was put into ``dealt`` last."""
        number = len(self.dealt)
        return {AUTHORITY_NUMBERS.key(0): u32(number), AUTHORITY_NUMBERS.key(number): authority}

    def write(self, leaves: dict[bytes, bytes]) -> None:
        """Write leaves that no transaction made: from the next block on in a proved state."""
        self.replica.view.apply(Changes(leaves=tuple(sorted(leaves.items()))))
        self._written |= leaves

    def reshare(self, dealt: Dealt, members: list[bytes], threshold: int) -> None:
        """The key moves to another epoch, as a ceremony's take-over does it."""
        before = dict(self.replica.view.leaves)
        reshare(self.replica, dealt, members, threshold)
        after = self.replica.view.leaves
        self._written |= {key: value for key, value in after.items() if before.get(key) != value}

    def run(self, signer: Actor, message: Message) -> TxResult:
        """A transaction of somebody's who is not the client under test."""
        tx = self.replica.tx(signer, message)
        self.pending.append(tx)
        results = self.make_block()
        return results[self.txs[self.height].index(tx)]


class Gateways:
    """Every fiduciary's gateway: takes blocks from registered identities, and anybody's document; serves them.

    ``down``: hosts.

    ``blocks``: what each holds, by host; it is what the fiduciary's agent has.
    """

    def __init__(self, chain: LiveChain) -> None:
        self.chain = chain
        self.blocks: dict[str, dict[str, bytes]] = {}
        self.down: set[str] = set()
        self._stores: dict[str, MemoryBlockStore] = {}

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def store_of(self, founder: Actor) -> MemoryBlockStore:
        """Where the gateway and the agent of a fiduciary keep blocks."""
        host, _ = _place(httpx.URL(founder.gateway + "/ipfs/"))
        return self._stores.setdefault(host, MemoryBlockStore(self.blocks.setdefault(host, {})))

    def find(self, cid: str) -> bytes:
        """The block, from whoever has it."""
        return next(held[cid] for held in self.blocks.values() if cid in held)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What a gateway says to a request for, or with, a block."""
        host, cid = _place(request.url)
        if host in self.down:
            raise httpx.ConnectError("refused")
        held = self.blocks.setdefault(host, {})
        if request.method == "GET":
            return _answer(200, held[cid]) if cid in held else _answer(404)
        claim = read_claim(request.headers)
        if claim is None and _is_document(request.content):
            held[cid] = request.content
            return _answer(201)
        record = IDENTITIES.find(self.chain.replica.view, claim.identity) if claim else None
        statement = put_statement(self.chain.replica.gid, cid, claim.identity, claim.expires_s) if claim else b""
        if not (claim and record and ed25519.verify(record.tx_key, statement, claim.signature)):
            return _answer(401, b'{"error": "who are you?", "hint": "sign it"}')
        assert cid_of(request.content) == cid
        held[cid] = request.content
        return _answer(201)


def _place(url: httpx.URL) -> tuple[str, str]:
    """(the gateway, the CID): a gateway has a host of its own, or a path of its own at one host."""
    before, _, cid = url.path.partition("/ipfs/")
    return before.strip("/") or url.host, cid


def _is_document(block: bytes) -> bool:
    with contextlib.suppress(Refusal):
        documents.read(block)
        return True
    return False


def _answer(status: int, body: bytes = b"") -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(body))


class LiveNode(Node):
    """A node of the chain: takes transactions, and searches them by their events."""

    chain: LiveChain

    def do_broadcast_tx_sync(self, params: dict[str, Any]) -> Any:
        tx = b64decode(params["tx"])
        if tx in self.chain.pending:
            raise RpcFailure("tx already exists in cache")
        result = self.chain.replica.check(tx)
        if result.code == 0:
            self.chain.pending.append(tx)
        answer = {"data": "", "log": result.log, "codespace": "", "hash": hexed(sha256(tx).digest())}
        return {**answer, "code": result.code}

    def search(self, params: dict[str, str]) -> Any:
        """What a door's index says: the events of all transactions that are wanted, on one page."""
        kind, role, id_ = params.get("kind"), params.get("role", "id"), params.get("id")
        found = []
        for height, results in self.chain.results.items():
            events = [event for result in results for event in result.events]
            for number, event in enumerate(events):
                if kind not in (None, event.kind) or (id_ is not None and (role, id_) not in event.attributes):
                    continue
                attributes = [{"name": name, "value": value} for name, value in event.attributes]
                at = f"{height}.{number}"
                found.append({"at": at, "height": height, "kind": event.kind, "attributes": attributes})
        return {"events": found, "next": None, "from_height": 1, "height": self.chain.height}


@dataclass(frozen=True)
class ActorSigner:
    """Signs as an actor."""

    actor: Actor

    @property
    def identity(self) -> bytes:
        return self.actor.identity

    def sign(self, message: bytes) -> bytes:
        signature: bytes = self.actor.tx_key.sign(message).signature
        return signature


@dataclass
class World:
    """A running ledger, alice and bob and carol, and a home for each."""

    chain: LiveChain
    node: LiveNode
    directory: Path
    alice: Actor = field(default_factory=lambda: Actor("alice"))
    bob: Actor = field(default_factory=lambda: Actor("bob"))
    carol: Actor = field(default_factory=lambda: Actor("carol"))
    steps: list[Step] = field(default_factory=list)

    def session(self, actor: Actor, node: LiveNode | None = None) -> Session:
        """What the SDK's flows take, for one of them. ``node``: another than the honest one."""
        chain = self.chain
        rpc = ClockedRpc(node or self.node, on_sleep=lambda: chain.make_block() and None)
        home = self.directory / actor.name
        root = MemoryKeystore(actor)
        root.ensure_prf_key(labels.root())
        party = Party(ActorSigner(actor), actor.bls_key, lambda: root)
        ledger = Ledger(rpc, chain.trust_file(chain.replica.gid))
        blocks = Blocks(home / "envelopes", chain.replica.gid, chain.gateways.http)
        return Session(ledger, party, blocks, home, self.steps.append)

    @property
    def founders(self) -> list[bytes]:
        return [founder.identity for founder in self.chain.replica.founders]


def make_world(directory: Path, fiduciaries: int = 4, params: params_pb2.Params | None = None) -> World:
    """A chain of a few blocks on which the three are registered."""
    chain = LiveChain(fiduciaries, params)
    world = World(chain, LiveNode(chain), directory)
    chain.make_block()
    for actor in (world.alice, world.bob, world.carol):
        message = tx_pb2.RegisterIdentity(envelope=actor.enrol(chain.replica.gid))
        result = chain.run(chain.replica.founders[0], message)
        assert result.code == 0, result
    chain.make_block()
    return world
