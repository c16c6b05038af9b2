"""An agent over a ledger in one process (tests/support/order_flow.py): homes with real keystores, called through ASGI.

Time is the chain's: a flow that waits makes blocks. Threads of the agent take turns at the chain.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from abci_app.genesis import parse_app_state
from abci_app.pb.dta.v1 import governance_pb2, identity_pb2, tx_pb2
from abci_app.state.records import FIDUCIARIES, PROPOSALS
from dta.base.home import Home
from dta.client.genesis import genesis_file, trusting
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.identity.create import KeystorePlan, create_profile
from dta.client.identity.document import Description
from dta.client.identity.keyring import Keyring
from dta.client.identity.keys import place
from dta.client.identity.profile import load_profile
from dta.service.access import Doorkeeper
from dta.service.agent import Agent
from dta.service.app import application
from dta.service.audit import AuditFile
from dta.service.guard import Listener
from dta.service.idempotency import IdempotencyStore
from dta.service.news import Waiting
from dta.service.settings import ServeFile
from dta.service.tokens import SCOPES, TokenStore
from dta.service.workplace import Workplace
from tests.support.chain import GENESIS_TIME_S
from tests.support.described import DescribedTransport
from tests.support.light_chain import START_S, ClockedRpc
from tests.support.order_flow import LiveChain, LiveNode
from tests.support.patience import PATIENCE_S
from tests.support.refusals import Because

BASE = "http://localhost"
PASSPHRASE = "a passphrase\n"


def said(answer: httpx.Response, status: int = 200) -> Any:
    """What an answer says, which must have this status."""
    assert answer.status_code == status, answer.text
    return answer.json()


def refusal_of(answer: httpx.Response) -> Because:
    """Which check of the ledger refused: what the problem names, for ``tests/support/refusals.py:refused``."""
    problem = said(answer, 409)
    return Because(problem["code"], problem.get("reason") or "")


class SharedRpc(ClockedRpc):
    """A clocked RPC whose calls, and the blocks that its sleeping makes, take turns with those of other threads.

    ``before``: called before each call; what it raises the caller sees.
    """

    def __init__(self, served: Served) -> None:
        super().__init__(served.node, on_sleep=lambda: served.chain.make_block() and None)
        self._served = served
        self.offset_s = served.offset_s

    def _perform(self, effect: Any) -> Any:
        self._served.before(effect)
        with self._served.lock:
            return super()._perform(effect)


@dataclass
class Served:
    """A ledger, homes, and an agent for each home that is asked for one."""

    directory: Path
    chain: LiveChain = field(default_factory=lambda: LiveChain(fiduciaries=1))
    lock: threading.RLock = field(default_factory=threading.RLock)
    before: Callable[[Any], None] = field(default=lambda _: None)
    homes: dict[str, Home] = field(default_factory=dict)
    agents: list[Agent] = field(default_factory=list)
    offset_s: float = 0.0

    def __post_init__(self) -> None:
        self.node = LiveNode(self.chain)
        state = parse_app_state(self.chain.replica.genesis.app_state)
        self.genesis: GenesisFile = genesis_file.write(self.chain.chain_id, GENESIS_TIME_S, state)
        assert self.genesis.gid == self.chain.replica.gid
        self.chain.make_block()
        self.chain.make_block()

    def home(self, *names: str) -> Home:
        """A home with these identities, on the ledger."""
        home = Home(self.directory / names[0])
        trusting.init_client(home, self.genesis, ["http://node.test:26657"], START_S)
        pin = home.path / "pin"
        pin.write_text(PASSPHRASE)
        pin.chmod(0o600)
        for name in names:
            keystores = [
                place("software", path=home.path / f"{name}-{role}.keys", module=None, token_label="", pin_file=pin)
                for role in ("operator", "next")
            ]
            with Keyring() as ring:
                _, block = create_profile(
                    home, ring, name, KeystorePlan(*keystores), Description(name, ("principal", "beneficiary")),
                    gid=self.genesis.gid, time_s=START_S, scrypt_log2_n=15,
                )  # fmt: skip
            registered = self.chain.run(self.chain.replica.founders[0], tx_pb2.RegisterIdentity(envelope=block))
            assert registered.code == 0, registered
            for founder in self.chain.replica.founders:
                self.chain.gateways.store_of(founder).put(block)
        self.chain.make_block()
        self.homes[names[0]] = home
        return home

    def agent(self, home: Home, **settings: Any) -> Agent:
        """An agent of a home, as `dta serve` makes it."""
        paused = [0.0]

        async def pause(seconds: float) -> None:
            """Between two looks the chain goes on; an agent's own time passes by its pauses alone."""
            paused[0] += seconds
            self.blocks(1)
            await asyncio.sleep(0)

        agent = Agent(
            Workplace(home, Keyring(), lambda: SharedRpc(self), self.chain.gateways.http),
            Doorkeeper(TokenStore(home.path / "serve" / "tokens")),
            IdempotencyStore(home.path / "serve" / "calls.sqlite"),
            AuditFile(home.path / "serve" / "audit.jsonl"),
            ServeFile(**settings),
            now_s=lambda: START_S + 5 * self.chain.height, monotonic_s=lambda: paused[0],
            wait_until=_patient, pause=pause,
        )
        agent.waiting = Waiting(agent.workplace.names, lambda: 5.0 * self.chain.height)
        self.agents.append(agent)
        return agent

    def token(self, home: Home, *scopes: str, identities: tuple[str, ...] = ("*",), expires_at_s: int = 0) -> str:
        """A token's characters; without scopes it has all."""
        store = TokenStore(home.path / "serve" / "tokens")
        _, shown = store.create(
            name="test", scopes=frozenset(scopes or SCOPES), identities=identities, now_s=START_S,
            expires_at_s=expires_at_s,
        )  # fmt: skip
        return shown

    def client(self, agent: Agent, token: str | None, **headers: str) -> httpx.AsyncClient:
        """Calls the agent's application directly; what it answers is held to its description."""
        app = application(agent, Listener.on_tcp([], []))
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **headers}
        transport = DescribedTransport(httpx.ASGITransport(app, raise_app_exceptions=False))
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=sent, timeout=PATIENCE_S)

    def client_of(self, home: Home) -> httpx.AsyncClient:
        """Calls a new agent of a home with a token for everything."""
        return self.client(self.agent(home), self.token(home))

    def make_fiduciary(self, identity: bytes) -> None:
        """In state from the next block on. It has no node: the founders' agents do what is due."""
        record = identity_pb2.FiduciaryRecord(
            id=identity, status=identity_pb2.FIDUCIARY_STATUS_ACTIVE, validator_key=bytes(32), power=10
        )
        self.chain.write({FIDUCIARIES.key(identity): record.SerializeToString(deterministic=True)})
        self.blocks(2)

    def vote(self, proposal: str, count: int) -> None:
        """So many founders vote for it."""
        digest = PROPOSALS.get(self.chain.replica.view, bytes.fromhex(proposal)).content_digest
        message = governance_pb2.Vote(proposal=bytes.fromhex(proposal), content_digest=digest)
        for founder in self.chain.replica.founders[:count]:
            with self.lock:
                assert self.chain.run(founder, message).code == 0
        self.blocks(2)

    def blocks(self, count: int) -> None:
        """So many more."""
        for _ in range(count):
            with self.lock:
                self.chain.make_block()

    def noted(self, home: Home) -> list[Any]:
        """The lines of an agent's audit file."""
        return [json.loads(line) for line in (home.path / "serve" / "audit.jsonl").read_text().splitlines()]

    def introduce(self) -> None:
        """Everybody's home knows everybody's names."""
        known = {name: id_ for home in self.homes.values() for name, id_ in _identities(home).items()}
        lines = "".join(f'{name} = "{id_.hex()}"\n' for name, id_ in known.items())
        for home in self.homes.values():
            (home.path / "contacts.toml").write_text(lines)

    def close(self) -> None:
        """Ends the agents."""
        for agent in self.agents:
            agent.close()


async def _patient(future: asyncio.Future[Any], wait_s: float) -> None:
    """Who waits at all waits to the end: no test depends on how fast this machine is."""
    if wait_s > 0:
        await asyncio.wait([future])


def _identities(home: Home) -> dict[str, bytes]:
    return {name: load_profile(home, name).identity for name in home.profile_names()}
