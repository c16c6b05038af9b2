"""Makes the test vectors of receipts. Run by hand, when they should cover another version or format::

    .venv/bin/python -m tests.vectors.receipts.capture hand-signed
    .venv/bin/python -m tests.vectors.receipts.capture cometbft-0.39.4 PATH/TO/cometbft

The first comes from the hand-signed chain of the unit tests, whose validators change; the second from four real
validators with our application on loopback, one of which is down for a while. Only chain data is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from abci_app import cid
from abci_app.crypto import hpke, statements
from abci_app.genesis import parse_app_state
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.records import ORDERS, PARAMS
from dta.base.errors import DtaError
from dta.client.genesis import genesis_file
from dta.client.genesis.cometbft import address
from dta.client.ledger import requests
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.rpc import Rpc
from dta.client.receipt import collect
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.verify import verify_receipt
from dta.light.trust import TrustFile
from dta.node import tendermint_config
from tests.support.actors import Actor, seeded
from tests.support.chain import GENESIS_TIME_S, make_genesis
from tests.support.custody import SEALED, single

HERE = Path(__file__).parent
NODES = 4
BASE_PORT = 36_700
CHAIN_ID = "dta-vectors"


# --- what is kept ---------------------------------------------------------------------------------------------
def save(name: str, trust: TrustFile, now_s: int, receipts: dict[str, bytes], broken: bool = True) -> None:
    """The receipts, what they are verified with, and broken ones with the step that refuses each."""
    directory = HERE / name
    directory.mkdir(exist_ok=True)
    trust.save(directory / "trust.json")
    (directory / "now.json").write_text(json.dumps({"now_s": now_s}) + "\n")
    for kind, content in receipts.items():
        verify_receipt(content, trust, now_s)
        (directory / f"{kind}.receipt.json").write_bytes(content)
    cases = [*refused_cases(receipts["transaction"], trust, now_s)] if broken else []
    (directory / "refused.json").write_text(json.dumps(cases, indent=1) + "\n")
    print(f"{directory}: {', '.join(f'{kind} {len(content)} bytes' for kind, content in receipts.items())}")


def refused_cases(content: bytes, trust: TrustFile, now_s: int) -> Iterator[dict[str, str]]:
    """Each way of being wrong once."""

    def edited(change: Any) -> bytes:
        value = json.loads(content)
        change(value)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    def too_few(value: Any) -> None:
        votes = value["blocks"][0]["commit"]["votes"]
        votes[0] = votes[-1] = None

    def other_result(value: Any) -> None:
        next(block for block in value["blocks"] if block["transactions"])["transactions"][0]["code"] = 9

    def other_tx(value: Any) -> None:
        tx = next(block for block in value["blocks"] if block["transactions"])["transactions"][0]
        tx["tx"] = "AAAA" + tx["tx"][4:]

    def moved_header(value: Any) -> None:
        value["blocks"][0]["header"]["height"] += 1

    def another_set(value: Any) -> None:
        value["blocks"][0]["validators"] = [
            {"power": 10, "public_key": bytes(SigningKey(seeded("stranger", n)).verify_key).hex()} for n in range(4)
        ]

    cases = {
        "one signature changed": lambda v: v["blocks"][0]["commit"]["votes"][-1].update(signature="AA" * 42 + "AA=="),
        "a commit of too few": too_few,
        "another chain": lambda v: v.update(chain_id="dta-elsewhere"),
        "another genesis": lambda v: v.update(gid="00" * 32),
        "another set": another_set,
        "another result": other_result,
        "another transaction": other_tx,
        "a header changed": moved_header,
        "the next header left out": lambda v: v["blocks"].pop(),
        "the chain's record left out": lambda v: v["states"].clear(),
        "an unknown member": lambda v: v.update(note="hello"),
    }
    for what, change in cases.items():
        broken = edited(change)
        try:
            verify_receipt(broken, trust, now_s)
        except ReceiptRefused as refused:
            yield {"what": what, "step": refused.step, "receipt": broken.decode()}
        else:
            raise AssertionError(f"{what}: it was accepted")


def hand_signed() -> None:
    sys.path.insert(0, str(HERE.parents[1] / "unit"))
    import receipt_world

    made = receipt_world.story()
    save("hand-signed", made.trust, receipt_world.NOW_S, {name: one.content for name, one in made.receipts.items()})
    _, trust, changed = receipt_world.changing()
    save("changing-validators", trust, receipt_world.NOW_S, {"transaction": changed.content}, broken=False)


# --- a real chain ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Signs:
    """An actor and which of its keys signs."""

    identity: bytes
    key: SigningKey

    def sign(self, message: bytes) -> bytes:
        signature: bytes = self.key.sign(message).signature
        return signature


def make_home(home: Path, founder: Actor, genesis: bytes, number: int, peers: str) -> None:
    comet = home / "cometbft"
    for directory in (comet / "config", comet / "data", home / "run"):
        directory.mkdir(parents=True)
    key = SigningKey(seeded("validator", founder.name))
    public = bytes(key.verify_key)
    stored = {
        "address": address(public).hex().upper(),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": b64encode(public).decode()},
        "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": b64encode(bytes(key) + public).decode()},
    }
    (comet / "config" / "priv_validator_key.json").write_text(json.dumps(stored))
    tendermint_config.new_sign_state(comet / "data" / "priv_validator_state.json")
    tendermint_config.new_node_key(comet / "config" / "node_key.json")
    (comet / "config" / "genesis.json").write_bytes(genesis)
    settings = tendermint_config.Settings(
        moniker=founder.name, proxy_app=f"unix://{home}/run/abci.sock",
        rpc_laddr=f"tcp://127.0.0.1:{BASE_PORT + 10 * number + 1}",
        p2p_laddr=f"tcp://127.0.0.1:{BASE_PORT + 10 * number}",
        persistent_peers=peers, addr_book_strict=False, allow_duplicate_ip=True, timeout_commit_ms=300,
    )  # fmt: skip
    rendered = tendermint_config.render(tendermint_config.load_template(), settings.values())
    (comet / "config" / "config.toml").write_text(rendered)


def start(binary: str, home: Path) -> list[subprocess.Popen[bytes]]:
    log = (home / "log").open("ab")
    application = [
        sys.executable, "-m", "abci_app.server", "--home", str(home), "--abci", f"unix://{home}/run/abci.sock",
        "--state-socket", f"{home}/run/state.sock",
    ]  # fmt: skip
    comet = [binary, "start", "--home", str(home / "cometbft")]
    return [subprocess.Popen(command, stdout=log, stderr=log) for command in (application, comet)]


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
        process.wait()


@contextmanager
def network(binary: str, founders: list[Actor], genesis: bytes) -> Iterator[list[list[subprocess.Popen[bytes]]]]:
    with tempfile.TemporaryDirectory(prefix="dta-r-") as directory:
        homes = [Path(directory) / f"n{number}" for number in range(NODES)]
        for number, (home, founder) in enumerate(zip(homes, founders, strict=True)):
            make_home(home, founder, genesis, number, "")
        ids = [
            subprocess.run([binary, "show-node-id", "--home", str(home / "cometbft")], capture_output=True, check=True)
            .stdout.decode().strip()
            for home in homes
        ]  # fmt: skip
        peers = ",".join(f"{id_}@127.0.0.1:{BASE_PORT + 10 * number}" for number, id_ in enumerate(ids))
        for home in homes:
            config = home / "cometbft" / "config" / "config.toml"
            config.write_text(config.read_text().replace('persistent_peers = ""', f'persistent_peers = "{peers}"'))
        running = [start(binary, home) for home in homes]
        try:
            yield running
        finally:
            for processes in running:
                stop(processes)


def wait_for(rpc: Rpc, height: int) -> None:
    for _ in range(300):
        try:
            if rpc.call(requests.status()).latest_height >= height:
                return
        except DtaError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"no height {height}")


def drive(rpc: Rpc, trust: TrustFile, founders: list[Actor], stop_last: Any) -> dict[str, bytes]:
    """An order's life, then its receipts."""
    ledger = Ledger(rpc, trust)
    alice, bob = Actor("alice"), Actor("bob")

    def user(actor: Actor) -> Signs:
        return Signs(actor.identity, actor.tx_key)

    for actor in (alice, bob):
        ledger.send(user(founders[0]), tx_pb2.RegisterIdentity(envelope=actor.enrol(trust.gid)))
    ids = [founder.identity for founder in founders]
    opened = ledger.send(user(alice), tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=ids))
    for founder in founders:
        seed = seeded("vault-key", founder.name)
        key = hpke.public_key_of(seed + seed, seed)
        ledger.send(Signs(founder.identity, founder.node_key), tx_pb2.PublishVaultKey(vault=opened.data, key=key))
    placed = ledger.send(
        user(alice),
        tx_pb2.PlaceOrder(
            nonce=bytes(32), custodian="hsm-realm", vault=opened.data, fiduciaries=ids, threshold=3,
            share_commitments=[seeded("share", n) for n in range(NODES)], key_commitment=seeded("key"),
            envelope_cid=cid.cid_of(b"envelope"), policy=single(bob.identity),
            rule=custody_pb2.BeneficiaryRule(identity=bob.identity),
        ),
    )  # fmt: skip
    order = placed.data
    for founder in founders[:3]:
        ledger.send(Signs(founder.identity, founder.node_key), tx_pb2.FulfilOrder(order=order))
    stop_last()
    digests = [seeded("request-key", n) for n in range(NODES)]
    message = tx_pb2.RequestSecret(
        order=order, nonce=bytes(32), beneficiary=bob.identity, keys_cid=cid.cid_of(b"keys"), key_digests=digests
    )
    asked = ledger.send(user(bob), message).data
    assert asked == statements.request_id(trust.gid, order, bob.identity, bytes(32))
    wait_for(rpc, rpc.call(requests.status()).latest_height + 2)
    for founder in founders[:3]:
        ledger.send(Signs(founder.identity, founder.node_key), tx_pb2.FulfilSecret(request=asked, sealed=SEALED))
    closed = ledger.send(user(alice), tx_pb2.CloseOrder(order=order))
    revoke = Signs(bob.identity, bob.key(1))
    ledger.send(revoke, tx_pb2.RevokeIdentity(next_key=bytes(bob.key(1).verify_key)))
    return {
        "order": collect.collect_order_receipt(rpc, trust, order).content,
        "transaction": collect.collect_transaction_receipt(rpc, trust, placed.tx_hash).content,
        "identity": collect.collect_identity_receipt(rpc, trust, bob.identity, closed.height).content,
        "absence": collect.collect_state_receipt(rpc, trust, [ORDERS.key(bytes(32)), PARAMS.key()]).content,
    }


def real(name: str, binary: str) -> None:
    founders = [Actor(f"fiduciary-{number}", fiduciary=True) for number in range(NODES)]
    genesis, gid = make_genesis(founders, chain_id=CHAIN_ID)
    written = genesis_file.write(CHAIN_ID, GENESIS_TIME_S, parse_app_state(genesis.app_state))
    assert written.gid == gid
    now_s = int(time.time())
    trust = TrustFile.from_genesis(written.content, gid, now_s)
    with network(binary, founders, written.content) as running:
        rpc = Rpc(f"http://127.0.0.1:{BASE_PORT + 1}")
        wait_for(rpc, 2)
        receipts = drive(rpc, trust, founders, lambda: stop(running[3]))
    save(name, trust, now_s + 600, receipts)


if __name__ == "__main__":
    if sys.argv[1] == "hand-signed":
        hand_signed()
    else:
        real(sys.argv[1], sys.argv[2])
