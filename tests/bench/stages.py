"""Part ``stages``: what one order costs the application in each ABCI call, in process, on LevelDB. No CometBFT.

The calls go through the dispatcher as bytes, so decoding the request and encoding the answer are in the figures.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from google.protobuf.message import Message

from abci_app import transition
from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.mempool import Mempool
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.server import collector
from abci_app.server.application import Application
from abci_app.server.connection import Replies
from abci_app.server.dispatch import Dispatcher
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.statedb import StateDB
from tests.bench.workload import Vault, order_message
from tests.support.actors import Actor, body_bytes, seeded, signed_tx
from tests.support.chain import GENESIS_TIME_S, make_genesis

CHAIN_ID = "dta-bench"
MAX_TX_BYTES = 8 << 20


class Replica:
    """The application as one node runs it, called directly. ``seconds`` counts the time spent in each kind of call."""

    def __init__(self, directory: Path, fiduciaries: int) -> None:
        self.founders = [Actor(f"fiduciary-{n}", fiduciary=True) for n in range(fiduciaries)]
        genesis, self.gid = make_genesis(self.founders, chain_id=CHAIN_ID)
        self._executor = ThreadPoolExecutor(1)
        self._database = StateDB(LevelDbStore(directory / "state"))
        application = Application(self._database, transition, Mempool(), version="bench")
        self._dispatcher = Dispatcher(
            application, internal_code=Code.INTERNAL, executor=self._executor, die=_die, log=print
        )
        self.seconds: dict[str, float] = {}
        self.height = 0
        request = pb.InitChainRequest(
            chain_id=CHAIN_ID, time=pb.Timestamp(seconds=GENESIS_TIME_S), initial_height=1,
            app_state_bytes=genesis.app_state,
            validators=[
                pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=one.public_key), power=one.power)
                for one in genesis.validators
            ],
        )  # fmt: skip
        self.call("init_chain", [request])

    def call(self, kind: str, requests: Sequence[Message], name: str = "") -> list[Any]:
        """The answers to requests of one kind; their time counts under ``name``."""
        encoded = [pb.Request(**{kind: request}).SerializeToString() for request in requests]
        started = time.process_time()
        replies = self._dispatcher.answer(encoded)
        assert isinstance(replies, Replies), "only a query is waited for"
        self.seconds[name or kind] = self.seconds.get(name or kind, 0.0) + time.process_time() - started
        return [getattr(pb.Response.FromString(reply), kind) for reply in replies.messages]

    def block(self, txs: Sequence[bytes], waiting: Sequence[bytes] = ()) -> None:
        """One block's life on the node that proposes it. ``waiting``: what is in the mempool beside it."""
        self.height += 1
        now = pb.Timestamp(seconds=GENESIS_TIME_S + self.height)
        checks = [pb.CheckTxRequest(tx=tx) for tx in [*txs, *waiting]]
        bad = [answer for answer in self.call("check_tx", checks) if answer.code]
        proposed = self.call(
            "prepare_proposal",
            [pb.PrepareProposalRequest(txs=txs, max_tx_bytes=MAX_TX_BYTES, height=self.height, time=now)],
        )[0].txs
        accepted = self.call(
            "process_proposal", [pb.ProcessProposalRequest(txs=proposed, height=self.height, time=now)]
        )[0].status
        finalized = self.call(
            "finalize_block", [pb.FinalizeBlockRequest(txs=proposed, height=self.height, time=now)]
        )[0]
        self.call("commit", [pb.CommitRequest()])
        rechecks = [pb.CheckTxRequest(tx=tx, type=pb.CHECK_TX_TYPE_RECHECK) for tx in waiting]
        bad += [answer for answer in self.call("check_tx", rechecks, "recheck") if answer.code]
        bad += [result for result in finalized.tx_results if result.code]
        if bad or len(proposed) != len(txs) or accepted != pb.ProcessProposalResponse.STATUS_ACCEPT:
            raise RuntimeError(f"refused: {bad[:1]}, {len(proposed)} of {len(txs)} proposed")

    def tx(self, signer: Actor, message: Message, key: Any = None) -> bytes:
        body = body_bytes(CHAIN_ID, message, self.height + 900, secrets.token_bytes(16))
        return signed_tx(self.gid, signer.identity, key or signer.tx_key, body)

    def open_vaults(self, principals: int) -> list[Vault]:
        actors = [Actor(f"principal-{number}") for number in range(principals)]
        ids = [founder.identity for founder in self.founders]
        registrations = zip(cycle(self.founders), actors)  # a sponsor has a part of a block's
        self.block([
            self.tx(sponsor, tx_pb2.RegisterIdentity(envelope=actor.enrol(self.gid)))
            for sponsor, actor in registrations
        ])  # fmt: skip
        opening = tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=ids)
        self.block([self.tx(actor, opening) for actor in actors])
        vaults = [Vault(actor, statements.vault_id(self.gid, actor.identity, opening.nonce)) for actor in actors]
        for founder in self.founders:
            seed = seeded("vault-key", founder.name)
            key = hpke.public_key_of(seed + seed, seed)
            publish = [tx_pb2.PublishVaultKey(vault=vault.id, key=key) for vault in vaults]
            self.block([self.tx(founder, message, founder.node_key) for message in publish])
        return vaults

    def orders(self, vaults: Sequence[Vault], count: int) -> list[bytes]:
        ids = [founder.identity for founder in self.founders]
        chosen = [vaults[number % len(vaults)] for number in range(count)]
        return [
            self.tx(vault.principal, order_message(vault, ids, secrets.token_bytes(32))) for vault in chosen
        ]

    def close(self) -> None:
        self._database.close()
        self._executor.shutdown()


def _die(error: BaseException) -> NoReturn:
    raise SystemExit(f"the application would end: {error!r}")


def run(say: Callable[[str], None], *, blocks: int = 7, orders: int = 1_000, fiduciaries: int = 4) -> dict[str, Any]:
    """Medians over ``blocks``: microseconds of processor time an order costs in each call; each is rechecked once."""
    directory = Path(tempfile.mkdtemp(prefix="dta-bench-"))
    try:
        replica = Replica(directory, fiduciaries)
        collector.settle()  # as the process does
        vaults = replica.open_vaults(20)
        found: dict[str, list[float]] = {}
        waiting = replica.orders(vaults, orders)
        for _ in range(blocks):
            txs, waiting = waiting, replica.orders(vaults, orders)
            replica.seconds.clear()
            replica.block(txs, waiting)
            for name, seconds in replica.seconds.items():
                # A new order is checked here, and the last block's waiting ones were checked then: one each.
                found.setdefault(name, []).append(seconds / orders * 1e6 / (2 if name == "check_tx" else 1))
        replica.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    figures: dict[str, Any] = {f"{name}_us": median(values) for name, values in found.items()}
    figures["orders_per_block"] = orders
    say(", ".join(f"{name} {median(values):.0f}" for name, values in found.items()) + " us an order")
    return figures
