"""The agent as a process, and its gateway over real state: it waits, reports, serves, and goes when told."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hooks_harness import make_world
from pkcs11.exceptions import FunctionFailed
from test_hooks_state_socket import Application, application

from abci_app import transition
from abci_app.block import Changes, Time
from abci_app.cid import cid_of
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.application import TIME_META
from abci_app.server.convert import encode_time
from abci_app.state.memory_view import MemoryView
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.base.config import NodeConfig, write_node_config
from dta.base.errors import JsonValue
from dta.base.keystore_config import KeystoreConfig
from dta.blocks.auth import put_headers
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.hsm.software import SoftwareKeystore
from dta.node.agent.agent import Agent, PartEnded
from dta.node.agent.due import WatchedDue
from dta.node.agent.network import AgentNetwork
from dta.node.agent.pins import peer_gateways
from dta.node.agent.runner import Runner
from dta.node.agent.state import SocketView
from tests.support.actors import Actor
from tests.support.chain import CHAIN_ID, Chain, make_genesis
from tests.support.keystore import PASSPHRASE
from tests.support.patience import PATIENCE_S


def node_config(home: Path, identity: bytes = bytes(32)) -> NodeConfig:
    (home / "pin").write_bytes(PASSPHRASE.reveal() + b"\n")
    (home / "pin").chmod(0o600)
    keystore = KeystoreConfig("software", path=home / "keys", pin_file=home / "pin")
    return NodeConfig(home, CHAIN_ID, identity, keystore, "http://127.0.0.1:1", ("127.0.0.1", 0))


def make_keystore(home: Path) -> None:
    SoftwareKeystore.create(home / "keys", PASSPHRASE, log2_n=MIN_LOG2_N)
    store = SoftwareKeystore(home / "keys", PASSPHRASE)
    store.ensure_signing_key("node-key")
    store.ensure_prf_key("root")
    store.close()


def wait_for_status(path: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            return found
        time.sleep(0.05)
    raise AssertionError(f"the agent ended with {process.poll()} or said nothing")


def test_without_application_and_token_the_agent_waits_reports_and_goes_when_told(tmp_path: Path) -> None:
    # Without an application it never comes to listening; a file names a port.
    config = replace(node_config(tmp_path), gateway_bind=("127.0.0.1", 1))
    write_node_config(config)
    process = subprocess.Popen(
        [sys.executable, "-m", "dta.node.agent.main", "--home", str(tmp_path)], stderr=subprocess.PIPE
    )
    try:
        status = wait_for_status(config.status_file, process)
        assert status["keystore"]["open"] is False
        assert status["hooks"] is None
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0, said
    assert not config.status_file.exists()
    assert PASSPHRASE.reveal() not in said


def test_a_wrong_configuration_ends_the_agent_with_a_hint(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dta.node.agent.main", "--home", str(tmp_path)],
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2].startswith(b"error: ")
    assert done.stderr.splitlines()[-1].startswith(b"hint: ")


def served_state(chain: Chain) -> StateDB:
    """A state database with what the chain has now."""
    database = StateDB(MemoryStore())
    changes = Changes(leaves=tuple(sorted(chain.view.leaves.items())), index=tuple(sorted(chain.view.index.items())))
    database.commit(database.stage(1, changes, {TIME_META: encode_time(Time(chain.time_s))}))
    return database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "cometbft/config").mkdir(parents=True)
    return home


async def running_agent(agent: Agent, ready: str) -> dict[str, Any]:
    """The agent's status once ``ready`` is in it."""
    for _ in range(600):
        status: dict[str, Any] = dict(agent.status())
        if status[ready]:
            return status
        await asyncio.sleep(0.05)
    raise AssertionError(agent.status())


def signed_put(chain: Chain, who: Actor, block: bytes, expires_s: int) -> dict[str, str]:
    class Signer:
        identity = who.identity

        def sign(self, statement: bytes) -> bytes:
            return who.tx_key.sign(statement).signature

    return put_headers(chain.gid, cid_of(block), Signer(), expires_s)


def test_the_gateway_takes_blocks_of_those_whom_state_knows_and_of_nobody_else(home: Path) -> None:
    world = make_world(home.parent, fiduciaries=2)
    chain = world.chain
    founder, stranger = chain.founders[0], Actor("mallory")
    stranger.enrol(chain.gid)
    make_keystore(home)
    config = node_config(home, founder.identity)
    genesis = {"app_state": json.loads(chain.genesis.app_state)}
    (home / "cometbft/config/genesis.json").write_text(json.dumps(genesis))

    async def scenario() -> None:
        agent, stop = Agent(config), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        status = await running_agent(agent, "gateway")
        base = "http://agent"
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=status["gateway"])) as client:
            block = b"an envelope, say"
            url = f"{base}/ipfs/{cid_of(block)}"
            expires_s = int(time.time()) + 60
            known = signed_put(chain, world.principal, block, expires_s)
            assert (await client.put(url, content=block, headers=known)).status_code == 201
            unknown = signed_put(chain, stranger, block, expires_s)
            assert (await client.put(url, content=block, headers=unknown)).status_code == 403
            assert (await client.get(url, params={"format": "raw"})).content == block
            # A newcomer may bring its own document, and nothing else.
            document = f"{base}/ipfs/{cid_of(stranger.block)}"
            assert (await client.put(document, content=stranger.block)).status_code == 201
            assert (await client.put(url, content=block)).status_code == 403
            shown = (await client.get(f"{base}/v1/status")).json()
            assert shown["identity"] == founder.identity.hex()
            assert shown["acting"] is False  # there is no CometBFT
            # The founders' documents are in nobody's upload: genesis has them.
            for one in chain.founders:
                for _ in range(200):
                    answer = await client.get(f"{base}/ipfs/{cid_of(one.block)}", params={"format": "raw"})
                    if answer.status_code == 200:
                        break
                    await asyncio.sleep(0.05)
                assert answer.content == one.block
        stop.set()
        assert await asyncio.wait_for(running, PATIENCE_S) is False

    with application(config.state_socket, served_state(chain)):
        asyncio.run(scenario())


def test_the_status_is_put_together_where_nothing_of_it_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread, what counts jobs or blocks would fail where one comes or goes, and the agent end of it."""
    agent, stop = Agent(node_config(tmp_path)), asyncio.Event()
    told, threads = agent.status, list[int]()

    def status() -> dict[str, JsonValue]:
        threads.append(threading.get_ident())
        return told()

    monkeypatch.setattr(agent, "status", status)

    async def scenario() -> None:
        running = asyncio.create_task(agent.run(stop))
        while not agent._config.status_file.exists():
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
    assert set(threads) == {threading.get_ident()}


@pytest.mark.parametrize("part", ["_status_forever", "_work", "keep_open"])
@pytest.mark.parametrize("failed", [True, False])
def test_the_agent_ends_when_any_of_its_parts_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, failed: bool
) -> None:
    """Its supervisor starts it again: half an agent would say that all is well, and do nothing."""
    agent = Agent(node_config(tmp_path))
    whole: object = agent._keystore if part == "keep_open" else agent

    async def ends(*_: object) -> None:
        if failed:
            raise FunctionFailed

    monkeypatch.setattr(whole, part, ends)
    with pytest.raises(FunctionFailed if failed else PartEnded):
        asyncio.run(asyncio.wait_for(agent.run(asyncio.Event()), PATIENCE_S))


@pytest.mark.parametrize("failed", [True, False])
def test_the_agent_ends_when_its_hooks_do(home: Path, monkeypatch: pytest.MonkeyPatch, failed: bool) -> None:
    world = make_world(home.parent, fiduciaries=2)
    make_keystore(home)
    agent = Agent(node_config(home, world.chain.founders[0].identity))

    async def ends(*_: object) -> None:
        if failed:
            raise FunctionFailed

    monkeypatch.setattr(Runner, "run", ends)
    with application(agent._config.state_socket, served_state(world.chain)), pytest.raises(ExceptionGroup) as caught:
        asyncio.run(asyncio.wait_for(agent.run(asyncio.Event()), PATIENCE_S))
    assert caught.value.subgroup(FunctionFailed if failed else PartEnded)


class _AtHead:
    """A CometBFT that is at the head, and takes nothing."""

    async def catching_up(self) -> bool:
        return False


def test_the_agent_s_own_runner_is_told_and_asks_nothing_of_state_where_nothing_happens(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = make_world(home.parent, fiduciaries=2).chain
    config = node_config(home, chain.founders[0].identity)
    database = served_state(chain)
    questions: list[int] = []
    ask = SocketView._ask_all

    def counted(self: SocketView, requests: Sequence[pb.StateRequest]) -> list[pb.StateResponse]:
        questions.append(len(requests))
        return ask(self, requests)

    monkeypatch.setattr(SocketView, "_ask_all", counted)

    async def seen(runner: Runner, height: int) -> None:
        async with asyncio.timeout(30):
            while runner.status()["height"] != height:
                await asyncio.sleep(0.01)

    async def scenario(served: Application) -> None:
        agent, stop = Agent(config), asyncio.Event()
        await agent._ledger.wait()
        runner = agent._make_runner(cast(AgentNetwork, _AtHead()))
        assert isinstance(runner._owed, WatchedDue)
        now = Time(int(time.time()))
        await asyncio.to_thread(served.commit, 2, now, Changes(leaves=(), index=()))
        running = asyncio.create_task(runner.run(stop))
        await seen(runner, 2)
        asked = len(questions)
        await asyncio.sleep(0.5)  # ten looks of one that polls
        assert len(questions) == asked
        await asyncio.to_thread(served.commit, 3, now, Changes(leaves=(), index=()))
        await seen(runner, 3)
        assert runner.status()["trouble"] == ""
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)
        agent._ledger.client.close()

    with application(config.state_socket, database) as served:
        asyncio.run(scenario(served))


def test_the_peers_are_all_fiduciaries_but_oneself_as_their_documents_say() -> None:
    founders = [Actor(f"f{n}", fiduciary=True, gateway=f"http://f{n}:8180") for n in range(3)]
    view = MemoryView()
    view.apply(transition.init_chain(make_genesis(founders)[0]))
    assert sorted(peer_gateways(view, founders[1].identity)) == ["http://f0:8180", "http://f2:8180"]
