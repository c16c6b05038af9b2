"""What the cryptography alone of an order, of a client secret and of a permit costs: processor time, in process.

``python -m tests.bench.bare_costs order|issuing ROUNDS`` prints one JSON document: milliseconds of each operation. It
is a process of its own, because a PKCS#11 module is bound to one set of tokens for as long as its process lives.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from abci_app.crypto import bls, ed25519
from abci_app.crypto.curve import G1
from abci_app.crypto.extraction import Answerer, Asked, blinded_holds, possession_holds, unblinded_holds
from abci_app.mfa import points
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, mfa_pb2
from dta.base.secret import SecretBytes
from dta.crypto import hpke
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.extraction import blind, make_transport, multiply
from dta.crypto.hpke import HpkePrivateKey
from dta.crypto.scalar import SecretScalar
from tests.bench import hsm
from tests.bench.figures import ROOT
from tests.support.actors import Actor

MESSAGE = bytes(300)
INFO = bytes(150)
SHARE_BYTES = 32
Costs = dict[str, float]


def measure(what: str, rounds: int) -> Costs:
    """The costs of ``order`` or ``issuing``, from a process of their own."""
    command = [sys.executable, "-m", "tests.bench.bare_costs", what, str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    costs: Costs = json.loads(done.stdout)
    return costs


def medians(several: Sequence[Costs]) -> Costs:
    """Of measurements at different moments of one run."""
    return {name: median(one[name] for one in several) for name in several[0]}


def entrusting_ms(costs: Mapping[str, float], nodes: int) -> float:
    """An order made ACTIVE: a release's operations, and the check of the envelope's BLS signature by each node.

    What is sealed is here each node's share, by the principal.
    """
    return releasing_ms(costs, nodes) + nodes * costs["bls_verify"]


def releasing_ms(costs: Mapping[str, float], nodes: int) -> float:
    """A request COMPLETED: each node derives its vault key, opens its share, seals it to the receiver, and signs.

    Then each node checks the signature of every transaction: one of a user's, and an answer of each.
    """
    by_node = sum(costs[name] for name in ("token_prf", "hpke_key", "hpke_open", "hpke_seal"))
    return nodes * by_node + _transactions_ms(costs, nodes)


def secret_ms(costs: Mapping[str, float], nodes: int, threshold: int, batch: int) -> float:
    """A client secret, ``batch`` of them in a transaction.

    Each node hashes to the curve, checks the possession, makes a partial, and verifies threshold-many.
    """
    item = nodes * (costs["hash_to_g1"] + costs["possession"] + costs["blind"] + threshold * costs["blinded_holds"])
    return item + _transactions_ms(costs, nodes) / batch


def permit_ms(costs: Mapping[str, float], nodes: int, threshold: int, batch: int) -> float:
    """A time permit: the same with partials in clear, and nothing that a client proves."""
    item = nodes * (costs["hash_to_g1"] + costs["multiply"] + threshold * costs["unblinded_holds"])
    return item + _transactions_ms(costs, nodes) / batch


def _transactions_ms(costs: Mapping[str, float], nodes: int) -> float:
    """One of a user's and an answer of each node: signed in its token, checked by all."""
    return nodes * costs["token_sign"] + nodes * (nodes + 1) * costs["ed25519_verify"]


# --- in the process of its own ----------------------------------------------------------------------------------


def _order(rounds: int) -> Costs:
    key = BlsPrivateKey.generate()
    public, signature = key.public_key, key.sign(MESSAGE)
    seed = SecretBytes(secrets.token_bytes(hpke.SEED_BYTES))
    share = SecretBytes(secrets.token_bytes(SHARE_BYTES))
    vault = HpkePrivateKey.from_seed(seed)
    sealed = hpke.seal(vault.public, INFO, share)
    operations: dict[str, Callable[[], object]] = {
        "bls_verify": lambda: bls.verify(public, MESSAGE, signature),
        "hpke_key": lambda: HpkePrivateKey.from_seed(seed),
        "hpke_seal": lambda: hpke.seal(vault.public, INFO, share),
        "hpke_open": lambda: vault.open(INFO, sealed),
    }
    return _medians(operations, rounds) | _signing(rounds)


def _issuing(rounds: int) -> Costs:
    gid, realm, client, authority, request = (secrets.token_bytes(32) for _ in range(5))
    suite, use = points.SUITES[mfa_pb2.MFA_SUITE_RFC9380], extraction_pb2.USE_CLIENT
    asked = Asked(gid, suite, authority_pb2.PURPOSE_MFA, use, authority, 1, request, 0)
    share = SecretScalar.random()
    by = Answerer(1, (G1.generator() * share.reveal()).encode())

    def hashed() -> G1:
        return points.client_point(mfa_pb2.MFA_SUITE_RFC9380, gid, authority, realm, client)

    base, transport = hashed(), make_transport(G1, gid, use, request, realm, client)
    point, encoded = G1.decode(transport.point), hashed().encode()
    blinded, clear = blind(asked, 1, share, base, point), multiply(asked, 1, share, base)
    operations: dict[str, Callable[[], object]] = {
        "hash_to_g1": hashed,
        "possession": lambda: possession_holds(
            G1, gid, use, request, realm, client, transport.point, transport.proof
        ),
        "blind": lambda: blind(asked, 1, share, base, point),
        "blinded_holds": lambda: blinded_holds(asked, by, encoded, transport.point, blinded),
        "multiply": lambda: multiply(asked, 1, share, base),
        "unblinded_holds": lambda: unblinded_holds(asked, by, encoded, clear),
    }
    for name in ("possession", "blinded_holds", "unblinded_holds"):
        if not operations[name]():
            raise RuntimeError(f"{name}: what is measured does not hold")
    return _medians(operations, rounds) | _signing(rounds)


def _signing(rounds: int) -> Costs:
    """The token's own operations and the check of a transaction's signature."""
    actor = Actor("bench")
    public, signature = bytes(actor.tx_key.verify_key), actor.tx_key.sign(MESSAGE).signature
    with tempfile.TemporaryDirectory(prefix="dta-bench-") as directory, hsm.opened(Path(directory)) as store:
        store.ensure_signing_key("node-key")
        store.ensure_prf_key("vault-1")
        operations: dict[str, Callable[[], object]] = {
            "token_prf": lambda: store.prf("vault-1", MESSAGE),
            "token_sign": lambda: store.sign("node-key", MESSAGE),
            "ed25519_verify": lambda: ed25519.verify(public, MESSAGE, signature),
        }
        return _medians(operations, rounds)


def _medians(operations: Mapping[str, Callable[[], Any]], rounds: int) -> Costs:
    """Milliseconds of processor time, in turns, so that all meet the same moments."""
    taken: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            started = time.process_time_ns()
            operation()
            taken[name].append((time.process_time_ns() - started) / 1e6)
    return {name: median(values) for name, values in taken.items()}


if __name__ == "__main__":
    print(json.dumps({"order": _order, "issuing": _issuing}[sys.argv[1]](int(sys.argv[2]))))
