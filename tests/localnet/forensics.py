"""Everything that the fiduciaries have, used together to open one order: every token with its PIN, every key in it.

``python -m tests.localnet.forensics ROOT ORDER-RECORD-HEX BLOCK-FILE`` prints JSON: ``shares`` and ``seeds`` (hex) that
were found, the ``secret`` (hex, or null), how many seals were ``tried``, and the ``labels`` of all keys. A process of
its own, because a PKCS#11 module has one configuration a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from abci_app import envelope
from abci_app.crypto import statements
from abci_app.envelope import DecodedEnvelope
from abci_app.pb.dta.v1 import custody_pb2
from dta.base.config import load_node_config
from dta.base.home import Home
from dta.base.secret import SecretBytes
from dta.client.genesis import genesis_file
from dta.client.identity.profile import load_profile
from dta.crypto import hpke, shamir
from dta.crypto.hpke import HpkePrivateKey
from dta.crypto.shamir import Share
from dta.custodians.hsm_realm import PURPOSE
from dta.envelope import CannotOpenEnvelope, open_order_body, open_share
from dta.hsm.derive import derive
from dta.hsm.errors import KeystoreError
from dta.hsm.keystore import Keystore, open_keystore
from dta.localnet.network import Network


def helped_by_all(net: Network, order: custody_pb2.OrderRecord, block: Path) -> Any:
    """What comes of it."""
    command = [sys.executable, "-m", __name__, str(net.root), order.SerializeToString().hex(), str(block)]
    done = subprocess.run(command, capture_output=True, env=net.environment(), check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def spellings(value: bytes) -> set[bytes]:
    """How a program may have written ``value``."""
    return {
        value, value.hex().encode(), value.hex().upper().encode(), b64encode(value).rstrip(b"="),
        urlsafe_b64encode(value).rstrip(b"="), repr(value)[2:-1].encode(),
        str(int.from_bytes(value, "big")).encode(), ", ".join(map(str, value)).encode(),
    }  # fmt: skip


def files_with(directories: Iterable[Path], needles: dict[str, bytes], but: Iterable[Path] = ()) -> list[str]:
    """``file: what`` for each file in which one of ``needles`` stands, in any spelling."""
    spelt = [(what, spelling) for what, value in needles.items() for spelling in spellings(value)]
    found = []
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and path not in but:
                content = path.read_bytes()
                found += [f"{path}: {what}" for what, spelling in spelt if spelling in content]
    return found


def _keystores(net: Network) -> Iterator[Keystore]:
    """Of every fiduciary, each that it has: the node's, the operator's, and the one of its next keys."""
    for node in net.nodes():
        profile = load_profile(Home(net.home(node)), f"fiduciary-{node}")
        configs = [load_node_config(net.home(node)).keystore, profile.keys, profile.next_keys, profile.root]
        for config in dict.fromkeys(configs):
            store = open_keystore(config, notice=lambda _: None)
            yield store
            store.close()


def _try_all(net: Network, order: custody_pb2.OrderRecord, decoded: DecodedEnvelope) -> Any:
    gid = genesis_file.read((net.root / "genesis.json").read_bytes()).gid
    policy_hash = statements.policy_hash(order.policy, order.rule)
    bound = statements.order_context(gid, order.vault, order.principal, order.salt, policy_hash)
    shares: dict[int, bytes] = {}
    seeds, labels, tried = [], [], 0
    for store in _keystores(net):
        for label in store.labels():
            labels.append(label)
            try:
                seed = derive(store, label, PURPOSE, gid + order.vault, hpke.SEED_BYTES)
            except KeystoreError:
                continue  # it signs, and does nothing else
            key = HpkePrivateKey.from_seed(seed)
            for index, fiduciary in enumerate(order.fiduciaries, start=1):
                tried += 1
                commitment = order.share_commitments[index - 1]
                info = statements.share_seal_info(bound, index, commitment)
                try:
                    share = open_share(decoded, fiduciary, key, info).reveal()
                except CannotOpenEnvelope:
                    continue
                assert statements.share_commitment(bound, index, share) == commitment
                shares[index] = share
                seeds.append(seed.reveal().hex())
    secret = None
    if len(shares) >= order.threshold:
        given = [Share(index, SecretBytes(value)) for index, value in sorted(shares.items())]
        key_of_order = shamir.combine(given[: order.threshold], order.threshold, len(order.fiduciaries))
        secret = open_order_body(decoded, key_of_order).reveal().hex()
    found = [share.hex() for share in shares.values()]
    return {"shares": found, "seeds": seeds, "secret": secret, "tried": tried, "labels": labels}


def main() -> None:
    root, order, block = sys.argv[1:]
    record = custody_pb2.OrderRecord.FromString(bytes.fromhex(order))
    json.dump(_try_all(Network(Path(root)), record, envelope.decode(Path(block).read_bytes())), sys.stdout)


if __name__ == "__main__":
    main()
