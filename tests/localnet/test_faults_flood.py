"""Two of four down while one identity fills the mempools: the chain waits, resumes, and hooks' results get through."""

from __future__ import annotations

import secrets
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from abci_app.codes import Code
from abci_app.mempool import DEFAULT_CAPACITY
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.home import Home
from dta.client.genesis import genesis_file
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import load_profile
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.client.ledger.tx import build_tx
from dta.localnet.network import Network
from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import same_app_hash, stands_still, wait_until_all_are_healthy

pytestmark = pytest.mark.localnet
BATCH = 100
PER_IDENTITY = DEFAULT_CAPACITY // 2


def transactions(net: Network, who: str, count: int) -> Iterator[bytes]:
    """So many that CheckTx takes, and that come to nothing: they cancel the closing of vaults that do not exist."""
    genesis = genesis_file.read((net.root / "genesis.json").read_bytes())
    expires_at_height = net.height(0) + 500
    with Keyring() as ring:
        signer = ring.signer(load_profile(Home(net.client_home(who)), who))
        for _ in range(count):
            message = tx_pb2.CancelCloseVault(vault=secrets.token_bytes(32))
            yield build_tx(
                net.plan.chain_id, genesis.gid, signer, message, expires_at_height, secrets.token_bytes(16)
            ).tx


def flood(net: Network, node: int, txs: list[bytes]) -> Counter[int]:
    """Send them as fast as the node takes them; how many got which code."""
    codes: Counter[int] = Counter()
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        for start in range(0, len(txs), BATCH):
            calls = [
                {"jsonrpc": "2.0", "id": n, "method": "broadcast_tx_sync", "params": {"tx": b64encode(tx).decode()}}
                for n, tx in enumerate(txs[start : start + BATCH])
            ]
            for answer in client.post(net.rpc_url(node), json=calls).json():
                codes[answer["result"]["code"]] += 1
    return codes


def committed(net: Network, after_height: int) -> dict[str, list[int]]:
    """Kind of message -> the height of each that was committed since."""
    found: dict[str, list[int]] = {}
    with Rpc(net.rpc_url(0)) as rpc:
        for height in range(after_height + 1, rpc.call(requests.status()).latest_height + 1):
            for tx in rpc.call(requests.block(height)).txs:
                body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
                found.setdefault(body.WhichOneof("message") or "", []).append(height)
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
    assert set(codes) == {Code.OK, Code.TOO_MANY}, codes
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
    assert min(heights["fulfil_secret"]) <= max(heights["cancel_close_vault"]), "the release did not wait for the flood"
