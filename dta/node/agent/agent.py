"""The agent's parts and how they run together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from abci_app.state.view import StateView
from dta.base.config import NodeConfig
from dta.base.errors import DtaError, JsonValue, KeystoreFailure
from dta.base.home import write_disposable
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockError
from dta.blocks.kubo import KuboStore
from dta.blocks.peers import PeerFetcher
from dta.blocks.reconcile import PinKeeper
from dta.blocks.store import BlockStore
from dta.blocks.threads import in_store
from dta.client.ledger.rpc import AsyncRpc
from dta.crypto.scalar import SecretScalar
from dta.custodians.plugin import CustodyContext
from dta.custodians.registry import load_custodians
from dta.hsm.errors import KeystoreError
from dta.http.tls import vouched_by
from dta.node.agent.documents import DocumentsOnChain
from dta.node.agent.due import WatchedDue
from dta.node.agent.keystores import KeystoreHolder
from dta.node.agent.ledger import AgentLedger
from dta.node.agent.network import AgentNetwork, open_store
from dta.node.agent.pinning import PinFollower, Uploads
from dta.node.agent.pins import INDEX_PREFIXES, LEAF_PREFIXES, WantedPins, peer_gateways
from dta.node.agent.runner import Runner, RunnerConfig
from dta.node.agent.watch import StateWatch
from dta.node.ceremonies.reaper import Reaper
from dta.node.ceremonies.shares import ShareUnusable, share_of
from dta.node.gateway.server import Gateway, GatewayConfig, GatewayPorts
from dta.node.hooks.errors import Retry
from dta.node.hooks.hung import HungJobs
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.tools import Tools

STATUS_EVERY_S = 2.0
GATEWAYS_EVERY_S = 10.0
AGAIN_S = 2.0
DELETE_EVERY_S = 600.0
LET_GO_EVERY_S = 60.0
KNOWN_WITHIN_S, LOOK_S = 10.0, 0.1
KEYS_EVERY_S = 10.0
CHECKED_EVERY_S = 10.0
HEALTH_EVERY_S = 60.0
HUNG_FOR_S = 30.0
SILENT_FOR_S = 300.0
DOOR_CONNECTIONS = 160
"""More than a door has places for blocks (docs/spec/door.md, Places): whom it lets in is not refused here."""
ENDING_S = 8.0
# It bounds the connections to each gateway: a common bound would let the slow ones take all of them.
_AS_THE_FETCHER_SAYS = httpx.Limits(max_connections=None)
# What a gateway sets would be kept as long as the agent runs.
_NO_COOKIES = DefaultCookiePolicy(allowed_domains=())
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_log = logging.getLogger(__name__)


class PartEnded(Exception):
    """A part of the agent that never ends has ended."""


class Agent:
    """One node's agent. ``run`` once."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._ledger = AgentLedger(config)
        self._keystore = KeystoreHolder(config.keystore)
        self._custodians = load_custodians()
        self._gateways: list[str] = []
        self._gateways_read = False
        self._wanted = WantedPins()
        self._pins: PinFollower | None = None
        self._keeper: PinKeeper | None = None
        self._runner: Runner | None = None
        self._store: EmbeddedStore | KuboStore | None = None
        self._fetcher: PeerFetcher | None = None
        self._reaper: Reaper | None = None
        self._gateway_at = ""
        self._trouble: dict[str, str] = {}
        self._health: list[JsonValue] = []
        self._checked: dict[str, JsonValue] | None = None

    async def run(self, stop: asyncio.Event) -> bool:
        """Until ``stop`` is set, or every HSM thread hangs (then True), or any part ends: half an agent is worse than
        one that is started again.

        Raises UsageError for a wrong configuration, what ended a part that failed, PartEnded.
        """
        for name, reason in self._custodians.failures.items():
            _log.error("custodian %s: %s", name, reason)
        hung = asyncio.Event()
        parts = [
            asyncio.create_task(self._status_forever(hung), name="status"),
            asyncio.create_task(self._keystore.keep_open(), name="keystore"),
            asyncio.create_task(self._work(stop), name="work"),
        ]
        ends = [asyncio.create_task(_wait(stop)), asyncio.create_task(_wait(hung))]
        try:
            await asyncio.wait([*parts, *ends], return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done() and not stop.is_set():
                    part.result()
                    raise PartEnded(part.get_name())
        finally:
            stop.set()
            for task in [*parts, *ends]:
                task.cancel()
            await asyncio.wait([*parts, *ends], timeout=ENDING_S)
            if not hung.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(3.0):
                        await asyncio.to_thread(self._keystore.close)
            self._ledger.client.close()
            self._config.status_file.unlink(missing_ok=True)
        return hung.is_set()

    async def _work(self, stop: asyncio.Event) -> None:
        """Everything that needs the ledger: the store, the gateway, the hooks, the pins."""
        await self._ledger.wait()
        await self._until_open("blocks", self._open_store)
        store = self._store
        assert store is not None
        async with (
            AsyncRpc(self._config.rpc_url) as rpc,
            httpx.AsyncClient(
                trust_env=False, verify=vouched_by(self._config.gateway.ca_file),
                timeout=httpx.Timeout(30.0, connect=10.0), limits=_AS_THE_FETCHER_SAYS,
                cookies=CookieJar(_NO_COOKIES),
            ) as client,
        ):
            self._fetcher = fetcher = PeerFetcher(store, lambda: self._gateways, client)
            ports = GatewayPorts(
                self._ledger.identity_keys, self._ledger.is_identity_document, self._public_status,
                lambda: self._gateways, self._wanted.wants,
            )  # fmt: skip
            gateway = Gateway(store, self._ledger.gid, ports, gateway_config(self._config))
            network = AgentNetwork(rpc, self._config.chain_id, store, fetcher)
            self._runner = runner = self._make_runner(network)
            keeper = self._keep_pins(rpc, store, fetcher, gateway)
            try:
                async with asyncio.TaskGroup() as group:
                    # Beside the others: it may take minutes, and most of what is due needs no list of blocks.
                    group.create_task(self._until_open("blocks", lambda: in_store(store.open)))
                    group.create_task(self._until_open("gateway", lambda: self._open_gateway(gateway)))
                    group.create_task(self._hooks(runner, stop))
                    group.create_task(self._every(GATEWAYS_EVERY_S, "gateways", self._follow_gateways))
                    group.create_task(self._every(0.0, "pins", self._follow_pins, AGAIN_S))
                    group.create_task(self._every(0.0, "pinned blocks", keeper.check, AGAIN_S))
                    group.create_task(keeper.work())
                    group.create_task(self._every(DELETE_EVERY_S, "blocks", self._delete_unpinned))
                    group.create_task(self._every(LET_GO_EVERY_S, "old blocks", self._delete_let_go))
                    group.create_task(self._every(KEYS_EVERY_S, "old keys", self._destroy_old_keys))
                    group.create_task(self._every(CHECKED_EVERY_S, "state", self._ask_how_far_the_check_is))
                    group.create_task(self._health_forever())
            finally:
                await gateway.stop()
                if self._pins is not None:
                    await self._pins.close()
                if isinstance(store, EmbeddedStore):
                    store.close()

    def _keep_pins(self, rpc: AsyncRpc, store: BlockStore, fetcher: PeerFetcher, uploads: Uploads) -> PinKeeper:
        documents = DocumentsOnChain(
            self._ledger.client, rpc, self._config.comet_home / "config/genesis.json", self._wanted.identity_of
        )
        watch = StateWatch(self._config.state_socket, index_prefixes=INDEX_PREFIXES, leaf_prefixes=LEAF_PREFIXES)
        self._keeper = PinKeeper(store, fetcher, self._wanted, find_elsewhere=documents.find)
        self._pins = PinFollower(self._ledger.client, watch, self._wanted, self._keeper, uploads)
        return self._keeper

    async def _hooks(self, runner: Runner, stop: asyncio.Event) -> None:
        await runner.run(stop)
        if not stop.is_set():
            raise PartEnded("hooks")

    def _make_runner(self, network: AgentNetwork) -> Runner:
        config = self._config
        tools = Tools(
            identity=config.identity, gid=self._ledger.gid, custodians=self._custodians,
            keystore=self._keystore.get, pin=self._ledger.pin_at_head, share_of=self._share_of,
        )  # fmt: skip
        outbox = Outbox(config.outbox_dir, config.identity, config.chain_id, self._ledger.gid)
        limits = RunnerConfig(hsm_threads=config.hook_concurrency)
        owed = WatchedDue.at(self._ledger.client, config.state_socket, config.identity)
        hung = HungJobs(config.hung_jobs_file)
        return Runner(tools, network, self._ledger.head, outbox, hung, owed, config.chain_id, limits)

    def _share_of(self, view: StateView, authority: bytes, epoch: int) -> SecretScalar:
        """This node's share of an authority key, opened from the ledger each time it is needed. Raises Retry."""
        try:
            return share_of(self._keystore.get(), view, self._ledger.gid, self._config.identity, authority, epoch)
        except ShareUnusable as error:
            raise Retry(f"the share of {authority.hex()[:12]} in epoch {epoch} can't be used: {error}") from None

    # --- opening ------------------------------------------------------------------------------------------------
    async def _open_store(self) -> None:
        self._store = await in_store(open_store, self._config)

    async def _open_gateway(self, gateway: Gateway) -> None:
        self._gateway_at, _ = await gateway.start()
        _log.info("the gateway listens on %s", self._gateway_at)

    async def _until_open(self, name: str, opening: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Try until it succeeds: the address may be in use, another process may still be ending. UsageError ends."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await opening()
            except (OSError, BlockError) as error:
                self._note(name, str(error))
            else:
                self._trouble.pop(name, None)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    # --- what goes on -------------------------------------------------------------------------------------------
    async def _every(
        self, seconds: float, name: str, work: Callable[[], Coroutine[Any, Any, None]], again_s: float = 0.0
    ) -> None:
        """``again_s``: how much later where it failed."""
        while True:
            pause_s = seconds + again_s
            try:
                await work()
            except (DtaError, BlockError, KeystoreError, OSError) as error:
                self._note(name, str(error))
            except Exception as error:
                _log.exception("%s failed", name)
                self._note(name, f"a fault of this program: {type(error).__name__}")
            else:
                self._trouble.pop(name, None)
                pause_s = seconds
            await asyncio.sleep(pause_s)

    async def _follow_gateways(self) -> None:
        """Learn where the other fiduciaries' gateways are."""
        self._gateways = await asyncio.to_thread(self._read_gateways)
        self._gateways_read = True

    def _read_gateways(self) -> list[str]:
        with self._ledger.client.pin() as now:
            return peer_gateways(now.view, self._config.identity)

    async def _follow_pins(self) -> None:
        """Pin what state names: documents are in the genesis file or in their transactions, the rest is fetched."""
        assert self._pins is not None
        if not self._gateways_read:
            await self._follow_gateways()
        await self._pins.step()

    async def _delete_unpinned(self) -> None:
        assert self._store is not None
        if not await self._knows_what_is_named():
            return
        gone = await in_store(
            self._store.delete_unpinned, GatewayConfig().grace_s, time.time(), self._wanted.wants
        )
        if gone:
            _log.info("%d blocks that nothing names were deleted", len(gone))

    async def _delete_let_go(self) -> None:
        assert self._store is not None
        if await self._knows_what_is_named():
            await in_store(self._store.delete_let_go, GatewayConfig().let_go_grace_s, time.time(), self._wanted.wants)

    async def _knows_what_is_named(self) -> bool:
        """Whether it is at the head of the chain and all is known that state names there: else no block is deleted.

        A node that replays lets go of what only a later block names, and its uploads grew old while it was down.
        """
        assert self._pins is not None
        try:
            height = await asyncio.to_thread(self._read_height_at_head)
            async with asyncio.timeout(KNOWN_WITHIN_S):
                while not self._pins.knows(height):
                    await asyncio.sleep(LOOK_S)
        except (Retry, TimeoutError):
            return False
        return True

    def _read_height_at_head(self) -> int:
        with self._ledger.pin_at_head() as now:
            return now.height

    async def _destroy_old_keys(self) -> None:
        """Keys of ceremonies and vaults that are over, at the head of the chain only: what goes is gone for good."""
        if self._reaper is None:
            self._reaper = Reaper(self._ledger.gid, self._config.identity, self._ledger.pin_at_head)
        with contextlib.suppress(Retry):  # no keystore, or not at the head: later
            for label in await asyncio.to_thread(self._reaper.reap, self._keystore.get()):
                _log.info("the key %s, which nothing needs any more, was destroyed", label)
        if self._reaper.trouble:
            raise KeystoreFailure(self._reaper.trouble)

    async def _ask_how_far_the_check_is(self) -> None:
        """The application checks its leaves against the tree; only it can say how far it is."""
        found = await asyncio.to_thread(self._ledger.client.checked)
        self._checked = {
            "leaves": found.leaves, "passes": found.passes, "whole_at_height": found.whole_at_height,
        }  # fmt: skip

    async def _health_forever(self) -> None:
        """Ask the custodians how they are, in a thread of its own: an HSM that hangs holds up nothing else."""
        threads = ThreadPoolExecutor(1, thread_name_prefix="health")
        asked: Future[list[JsonValue]] | None = None
        try:
            while True:
                if asked is None or asked.done():
                    asked = threads.submit(self._ask_health)
                    # Not wait_for: of Python 3.11 it loses a cancellation that comes together with the answer.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(HEALTH_EVERY_S):
                            self._health = await asyncio.wrap_future(asked)
                await asyncio.sleep(HEALTH_EVERY_S if self._keystore_is_open() else STATUS_EVERY_S)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _keystore_is_open(self) -> bool:
        return not self._keystore.trouble

    def _ask_health(self) -> list[JsonValue]:
        try:
            context = CustodyContext(self._ledger.gid, self._config.identity, self._keystore.get())
        except Retry:
            return []
        found: list[JsonValue] = []
        for name, custodian in self._custodians.custodians.items():
            try:
                steps = custodian.health(context)
            except Exception as error:  # a plugin's: its text may hold anything
                found.append({"custodian": name, "name": "health", "status": "failure", "detail": type(error).__name__})
                continue
            found += [
                {"custodian": name, "name": step.name, "status": step.status, "detail": step.detail} for step in steps
            ]
        return found

    def _note(self, name: str, text: str) -> None:
        if self._trouble.get(name) != text:
            _log.warning("%s: %s", name, text)
        self._trouble[name] = text

    # --- saying how it is ---------------------------------------------------------------------------------------
    async def _status_forever(self, hung: asyncio.Event) -> None:
        """Write the status; end the process where every HSM thread has hung for long: only a new one can help.

        It is put together here, where nothing of it changes meanwhile; only the file is a thread's.
        """
        hung_since_s: float | None = None
        while True:
            await asyncio.to_thread(self._write_status, self.status())
            if self._keystore.silent_s > SILENT_FOR_S:
                _log.error("the keystore hangs: ending, to be started again")
                hung.set()
            if self._runner is None or not self._runner.is_hung:
                hung_since_s = None
            elif hung_since_s is None:
                hung_since_s = time.monotonic()
            elif time.monotonic() - hung_since_s > HUNG_FOR_S:
                _log.error("every HSM thread hangs: ending, to be started again")
                hung.set()
            await asyncio.sleep(STATUS_EVERY_S)

    def _write_status(self, status: dict[str, JsonValue]) -> None:
        path = self._config.status_file
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_disposable(path, json.dumps(status, indent=1) + "\n")
        except OSError as error:
            _log.warning("the status can't be written: %s", error.strerror)

    def status(self) -> dict[str, JsonValue]:
        """All that ``dta status`` shows of the agent, for the event loop. Holds no secret, and nothing that changes."""
        trouble: dict[str, JsonValue] = dict(self._trouble)
        failures: dict[str, JsonValue] = dict(self._custodians.failures)
        return {
            "pid": os.getpid(),
            "time_s": int(time.time()),
            "chain_id": self._config.chain_id,
            "identity": self._config.identity.hex(),
            "keystore": {
                "kind": self._config.keystore.kind, "open": self._keystore_is_open(),
                "trouble": self._keystore.trouble, "notices": [*self._keystore.notices],
            },
            "gateway": self._gateway_at,
            "blocks": {"store": self._config.blocks, **self._pins_shown()},
            "peers_at_fault": [
                {"gateway": fault.gateway, "reason": fault.reason, "count": fault.count}
                for fault in (self._fetcher.faults() if self._fetcher is not None else [])
            ],
            "custodians": {
                "loaded": [*self._custodians.custodians], "failures": failures, "health": [*self._health],
            },
            "hooks": self._runner.status() if self._runner is not None else None,
            "state_check": self._checked,
            "keys_found_late": [vault.hex() for vault in self._reaper.found_late] if self._reaper is not None else [],
            "trouble": trouble,
        }  # fmt: skip

    def _pins_shown(self) -> dict[str, JsonValue]:
        keeper = self._keeper
        if keeper is None or not keeper.is_whole:
            pinned = 0
        else:
            pinned = max(0, self._wanted.count - keeper.missing_count - keeper.pending_count)
        missing = [] if keeper is None else keeper.missing()
        return {
            "pinned": pinned,
            "missing": [{"cid": cid, "error": error} for cid, error in missing],
            "missing_count": 0 if keeper is None else keeper.missing_count,
        }

    async def _public_status(self) -> Mapping[str, object]:
        """What anybody may ask the gateway: no errors, paths or peers."""
        hooks = self._runner.status() if self._runner is not None else {}
        return {
            "chain_id": self._config.chain_id,
            "identity": self._config.identity.hex(),
            "height": hooks.get("height", 0),
            "block_time_s": hooks.get("block_time_s", 0),
            "acting": bool(hooks) and not hooks.get("trouble"),
            "due": hooks.get("due", 0),
        }


def gateway_config(config: NodeConfig) -> GatewayConfig:
    """A gateway that a door is before: it says for whom it asks, and bears what the door lets in."""
    return GatewayConfig(
        socket=config.gateway_socket, socket_mode=0o600 if config.gateway.socket is None else 0o660,
        trusted_proxies=frozenset({""}),  # a unix socket's other side has no address
        max_connections=DOOR_CONNECTIONS,
        identity_uploads_per_minute=config.gateway.identity_uploads_per_minute,
        address_uploads_per_minute=config.gateway.address_uploads_per_minute,
    )  # fmt: skip


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
