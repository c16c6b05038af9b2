"""Floods of users' transactions: the chain goes on, hooks' results and people's decisions get through, users are told.

By count, with two of four nodes down; by bytes, by nine identities that keep the users' half of every mempool full.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from abci_app.codes import Code
from abci_app.mempool import MAX_TXS
from abci_app.pb.dta.v1 import custody_pb2, identity_pb2, mfa_pb2, tx_pb2
from abci_app.state.records import IDENTITIES
from dta.base.home import Home
from dta.client.genesis import genesis_file
from dta.client.identity.create import REQUEST_FORMAT
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import load_profile
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.client.ledger.tx import build_tx
from dta.client.receipt.transactions import read_tx
from dta.localnet.network import Network
from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import (
    leaf,
    request_record,
    same_app_hash,
    stands_still,
    wait_until,
    wait_until_all_are_healthy,
)
from tests.support.actors import Actor, body_bytes, signed_tx
from tests.support.refusals import TAKEN, Because

pytestmark = pytest.mark.localnet
BATCH = 100
# What one identity may have waiting, in transactions of the smallest size that is charged.
PER_IDENTITY = MAX_TXS // 16
FLOODERS = 9


def genesis_of(net: Network) -> genesis_file.GenesisFile:
    return genesis_file.read((net.root / "genesis.json").read_bytes())


def transactions(net: Network, who: str, count: int) -> Iterator[bytes]:
    """So many that CheckTx takes, and that come to nothing: they cancel the closing of vaults that do not exist."""
    gid = genesis_of(net).gid
    expires_at_height = net.height(0) + 500
    with Keyring() as ring:
        signer = ring.signer(load_profile(Home(net.client_home(who)), who))
        for _ in range(count):
            message = tx_pb2.CancelCloseVault(vault=secrets.token_bytes(32))
            yield build_tx(net.plan.chain_id, gid, signer, message, expires_at_height, secrets.token_bytes(16)).tx


def send(client: httpx.Client, net: Network, node: int, txs: list[bytes]) -> Counter[int]:
    """Hand them to a node in one batch; how many got which code."""
    calls = [
        {"jsonrpc": "2.0", "id": n, "method": "broadcast_tx_sync", "params": {"tx": b64encode(tx).decode()}}
        for n, tx in enumerate(txs)
    ]
    answers = client.post(net.rpc_url(node), json=calls).json()
    answers = answers if isinstance(answers, list) else [answers]
    return Counter(answer["result"]["code"] for answer in answers if "result" in answer)


def flood(net: Network, node: int, txs: list[bytes]) -> Counter[int]:
    """Send them as fast as the node takes them; how many got which code."""
    codes: Counter[int] = Counter()
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        for start in range(0, len(txs), BATCH):
            codes += send(client, net, node, txs[start : start + BATCH])
    return codes


def committed(net: Network, after_height: int) -> dict[str, list[int]]:
    """Kind of message, also of one in a bundle -> the height of each that was committed since."""
    found: dict[str, list[int]] = {}
    with Rpc(net.rpc_url(0)) as rpc:
        for height in range(after_height + 1, rpc.call(requests.status()).latest_height + 1):
            for tx in rpc.call(requests.block(height)).txs:
                read = read_tx(tx)
                for kind, _ in read.parts() if read is not None else ():
                    found.setdefault(kind, []).append(height)
    return found


def test_two_of_four_down_wait_and_resume_and_a_flood_holds_up_no_release(net: WiredNetwork, people: People) -> None:
    secret = secrets.token_bytes(64)
    order = people.place_file(secret, "--veto-window", "5", "--vetoer", people.identities["alice"])
    other = people.place_file(b"to be closed")
    txs = list(transactions(net, "mallory", PER_IDENTITY + BATCH))
    for node in (2, 3):
        net.stop(node)
    # What is sent now waits: the command sends the same bytes until they are in a block.
    sent = [("alice", "order", "close", other), ("bob", "order", "request", order, "--allow-missing", "2")]
    waiting = [threading.Thread(target=people.by, args=words, daemon=True) for words in sent]
    for one in waiting:
        one.start()
    stuck = stands_still(net, [0, 1])
    codes = flood(net, 0, txs)
    assert {Because(code) for code in codes} == {TAKEN, Because(Code.BUSY)}, codes
    assert PER_IDENTITY - BATCH <= codes[Code.OK] <= PER_IDENTITY
    assert all(one.is_alive() for one in waiting)
    assert max(net.height(0), net.height(1)) == stuck

    net.start(2)
    for one in waiting:
        one.join(120.0)
    assert people.by("alice", "order", "show", other)["status"] == "closed"
    [request] = people.by("bob", "order", "show", order)["requests"]
    assert people.receive_file(request["request"]) == secret
    net.start(3)
    wait_until_all_are_healthy(net)
    same_app_hash(net)
    heights = committed(net, stuck)
    assert len(heights["cancel_close_vault"]) == codes[Code.OK]
    over_at = window_over(net, request_record(net, request["request"]))
    assert min(heights["fulfil_secret"]) <= over_at + 2, "the release waited for nothing but its window"


def window_over(net: Network, record: custody_pb2.RequestRecord) -> int:
    """The first height by which the window of a request that was granted is over."""
    with Rpc(net.rpc_url(0)) as rpc:
        height: int = record.release_height
        while rpc.call(requests.commit(height)).header.time.seconds < record.release_time_s:
            height += 1
    return height


class ByteFlood:
    """Nine identities that send enrolments as large as they may be to every node, until told to stop."""

    def __init__(self, net: WiredNetwork) -> None:
        self.codes: Counter[int] = Counter()
        self._net = net
        self._gid = genesis_of(net).gid
        self._stop = threading.Event()
        self._actors = [Actor(f"flooder-{number}", seed=secrets.randbits(64)) for number in range(FLOODERS)]
        self._threads: list[threading.Thread] = []

    def enrol(self) -> None:
        """Have a fiduciary sponsor them all: what is flooded is sent in good standing."""
        for actor in self._actors:
            block = actor.enrol(self._gid)
            path = self._net.root / f"{actor.name}.request.json"
            request = {
                "format": REQUEST_FORMAT, "gid": self._gid.hex(), "identity": actor.identity.hex(),
                "document": b64encode(block).decode(),
            }  # fmt: skip
            path.write_text(json.dumps(request))
            self._net.dta(["identity", "sponsor", str(path)], home=self._net.home(0))

    def _one(self, actor: Actor) -> bytes:
        """20 kB, well formed; for a realm that does not exist."""
        message = mfa_pb2.EnrolClients(realm=secrets.token_bytes(32), suite=mfa_pb2.MFA_SUITE_RFC9380)
        for _ in range(100):
            message.clients.add(
                client=secrets.token_bytes(32), nonce=secrets.token_bytes(32), transport_key=secrets.token_bytes(48),
                proof=secrets.token_bytes(80),
            )  # fmt: skip
        body = body_bytes(self._net.plan.chain_id, message, self._height + 500, secrets.token_bytes(16))
        return signed_tx(self._gid, actor.identity, actor.tx_key, body)

    def _send_forever(self, number: int) -> None:
        actor, node = self._actors[number], number % self._net.plan.validators
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            while not self._stop.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    codes = send(client, self._net, node, [self._one(actor) for _ in range(4)])
                    self.codes += codes
                    if codes[Code.BUSY]:
                        self._stop.wait(0.1)

    def __enter__(self) -> ByteFlood:
        self._height = self._net.height(0)
        self._threads = [
            threading.Thread(target=self._send_forever, args=(number,), daemon=True) for number in range(FLOODERS)
        ]
        for thread in self._threads:
            thread.start()
        wait_until("a node to say that it is busy", lambda: self.codes[Code.BUSY] > 50)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def blocks_to_release(net: WiredNetwork, people: People, request: str) -> int:
    """Alice approves; so many blocks from her approval on, threshold-many answers are there."""
    people.by("alice", "order", "approve", request, "--yes")
    wait_until(f"the release of {request}", lambda: request_record(net, request).ended_height)
    record = request_record(net, request)
    assert record.status == custody_pb2.REQUEST_STATUS_COMPLETED
    return record.ended_height - record.granted_height


def status_of(net: WiredNetwork, identity: str) -> int:
    record = identity_pb2.IdentityRecord.FromString(leaf(net, IDENTITIES.key(bytes.fromhex(identity))))
    return record.status


def test_a_flood_of_bytes_holds_up_no_release_and_no_decision(net: WiredNetwork, people: People) -> None:
    def ask(*options: str) -> str:
        order = people.place_file(b"flooded", "--policy", "single:alice", *options)
        request: str = people.by("bob", "order", "request", order)["request"]
        return request

    mallory = people.identities["mallory"]
    calm, flooded, vetoed = ask(), ask(), ask("--veto-window", "3600", "--vetoer", people.identities["alice"])
    proposal = net.dta_json(
        ["governance", "propose", "params", "--set", "max_realm_servers=17"], home=net.home(0)
    )["proposal"]  # fmt: skip
    without = blocks_to_release(net, people, calm)
    flood = ByteFlood(net)
    flood.enrol()
    with flood:
        with_flood = blocks_to_release(net, people, flooded)
        people.by("alice", "order", "veto", vetoed, "--yes")
        assert request_record(net, vetoed).status == custody_pb2.REQUEST_STATUS_VETOED
        for node in (1, 2):
            decided = net.dta_json(["governance", "vote", proposal], home=net.home(node))
        assert decided["status"] == "executed"
        people.by("mallory", "identity", "suspend", "--yes")
        assert status_of(net, mallory) == identity_pb2.IDENTITY_STATUS_SUSPENDED
        people.by("mallory", "identity", "rotate")
        assert status_of(net, mallory) == identity_pb2.IDENTITY_STATUS_ACTIVE
        during = Counter(flood.codes)
    assert with_flood <= without + 2, (with_flood, without)
    assert flood.codes[Code.BUSY] >= during[Code.BUSY] > 50, "the users' half was full all the time"
    assert {Because(code) for code in flood.codes} <= {TAKEN, Because(Code.BUSY)}, flood.codes
    people.receive_file(flooded)
    same_app_hash(net)
