"""The demo's second half: keys that no fiduciary holds, a signature by three of four, an order across a reshare."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dta.localnet.actors import Demo, DemoFailed
from dta.localnet.receipts import Receipts

LEAST_VALIDATORS = 4
REALM = "acme"
VERIFIER_VARIABLE = "DTA_AUTHORITY_VERIFIER"
_WAIT_S = 240.0
_POLL_S = 0.5
_MIN_SIG_TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


@dataclass(frozen=True, slots=True)
class Keys:
    """The authorities' ids, in hex."""

    custody: str
    signing: str
    mfa: str


def ceremony(demo: Demo) -> Keys:
    """Three keys at once, one fiduciary killed half way and started again."""
    nodes, killed = list(demo.net.nodes()), demo.net.plan.validators - 1
    with demo.tell.step(f"{len(nodes)} fiduciaries vote for three keys that none of them will hold"):
        made = [
            _by_node(demo, 0, "authority", "create", "vaultless", "--purpose", "custody"),
            _by_node(demo, 0, "authority", "create", "releases", "--purpose", "signing"),
            _by_node(
                demo, 0, "mfa", "realm", "create", "--name", REALM, "--registrar", demo.identities["alice"],
                "--max-attempts", "3",
            ),
        ]  # fmt: skip
        for proposal in made:
            _vote(demo, proposal["proposal"], nodes[1:])
        keys = Keys(*(proposal["authority"] for proposal in made))
        demo.tell.done("a custody key, a signing key, and a realm with an M-Pin key of its own: voted for")
    with demo.tell.step(f"Each operator consents; fiduciary {killed} is killed in the middle of the ceremonies"):
        for node in nodes:
            for key in (keys.custody, keys.signing, keys.mfa):
                _by_node(demo, node, "authority", "accept", key, "--yes")
        demo.net.kill(killed)
        demo.tell.done(f"every operator consented, and fiduciary {killed} is gone (kill -9)")
        time.sleep(3.0)
        demo.net.start(killed)
        demo.tell.done("it is started again: what it deals follows from its HSM and the ledger, so it deals the same")
        for key in (keys.custody, keys.signing, keys.mfa):
            shown = _wait_for_epoch(demo, key, 1)
            held = f"{shown['in_force']['threshold']} of {len(shown['in_force']['members'])}"
            demo.tell.done(f"{shown['name']}: held by {held}, public key {shown['public_key_g1'][:16]}…")
    demo.tell.fact("three distributed keys", "one fiduciary killed half way", "in force, nobody holds one")
    return keys


def signature(demo: Demo, keys: Keys) -> None:
    """A file is signed by three of four, and another library in another language agrees."""
    net, down = demo.net, demo.net.plan.validators - 1
    with demo.tell.step("A release is signed by three of four fiduciaries, the last one being stopped"):
        net.stop(down)
        path = net.client_home("alice") / "release.tar"
        path.write_bytes(secrets.token_bytes(100_000))
        asked = demo.by(
            "alice", "sign", "request", str(path), "--authority", keys.signing, "--kind", "release", "--wait", "0"
        )
        for node in range(3):
            _by_node(demo, node, "sign", "approve", asked["request"], "--yes")
        demo.tell.done("Alice asked; three operators looked at it and approved")
        shown = demo.by("alice", "sign", "wait", asked["request"])
        demo.by("alice", "sign", "verify", asked["request"], "--file", str(path))
        demo.tell.done(f"signed: {shown['signature'][:32]}… an ordinary BLS signature of 48 bytes")
        demo.tell.fact("a release", "signed by 3 of 4", f"verified by {_verified_elsewhere(demo, shown)}")
        start_again(demo, down)


def reshared_order(demo: Demo, receipts: Receipts, keys: Keys) -> None:
    """An order under the custody key opens after the key went over to other hands."""
    net = demo.net
    secret = secrets.token_bytes(32).hex().encode() + b"\n"
    leaving = net.plan.validators - 1
    with demo.tell.step("Alice entrusts a secret to the custody key: fiduciaries store nothing for it"):
        path = net.client_home("alice") / "vaultless.secret"
        path.write_bytes(secret)
        path.chmod(0o600)
        order = demo.by(
            "alice", "order", "place", "--authority", keys.custody, "--secret-file", str(path), "--beneficiary",
            demo.identities["bob"],
        )["order"]  # fmt: skip
        demo.tell.done(f"order {order[:16]}… is encrypted to its own identity (mpc-bls)")
    with demo.tell.step(f"A fifth fiduciary joins from nothing and takes the share of fiduciary {leaving}"):
        before = _shown(demo, keys.custody)
        joined = net.join()
        net.admit(joined)
        demo.tell.done(f"fiduciary {joined} is admitted, by vote")
        members = [node for node in net.nodes() if node != leaving]
        wanted = [word for node in members for word in ("--member", _identity_of(demo, node))]
        proposal = _by_node(demo, 0, "authority", "reshare", keys.custody, *wanted)["proposal"]
        _vote(demo, proposal, [node for node in net.nodes() if node != 0])
        for node in net.nodes():
            _by_node(demo, node, "authority", "accept", keys.custody, "--yes")
        after = _wait_for_epoch(demo, keys.custody, 2)
        if after["public_key_g1"] != before["public_key_g1"]:
            raise DemoFailed("the reshare changed the public key")
        demo.tell.done(f"epoch 2 is in force: other shares, other holders, the same key {after['public_key_g1'][:16]}…")
        net.stop(leaving)
        demo.tell.done(f"fiduciary {leaving}, which holds nothing of it any more, is stopped")
    with demo.tell.step("Bob receives what was entrusted before, from fiduciaries of after"):
        request = demo.by("bob", "order", "request", order)["request"]
        demo.receive("bob", "vaultless", request, secret)
        receipts.write_order(net.client_home("alice"), order, name="mpc-bls-order")
        demo.tell.fact("an mpc-bls order", "across a reshare to a fifth fiduciary", "received by Bob")


# --- what the steps are made of -----------------------------------------------------------------------------------


def _by_node(demo: Demo, node: int, *arguments: str) -> Any:
    """A command of a fiduciary's operator, its JSON parsed."""
    return demo.net.dta_json(list(arguments), home=demo.net.home(node))


def _identity_of(demo: Demo, node: int) -> str:
    shown: str = _by_node(demo, node, "identity", "show")["identity"]
    return shown


def _vote(demo: Demo, proposal: str, voters: Sequence[int]) -> None:
    """Voters vote until it is decided."""
    for node in voters:
        if _by_node(demo, node, "governance", "vote", proposal)["status"] != "open":
            return
    raise DemoFailed(f"proposal {proposal} is still open after every vote")


def start_again(demo: Demo, node: int) -> None:
    """Start a node that was stopped, and wait until its door takes blocks."""
    demo.net.start(node)
    if not wait_until(lambda: demo.net.door_is_ready(node)):
        raise DemoFailed(f"the door of fiduciary {node} did not come back")
    demo.tell.done(f"fiduciary {node} is back")


def _shown(demo: Demo, authority: str) -> Any:
    return _by_node(demo, 0, "authority", "show", authority)


def _wait_for_epoch(demo: Demo, authority: str, epoch: int) -> Any:
    """What is shown of the authority once that epoch is in force. Raises DemoFailed, saying who is at fault."""
    shown: Any = {}

    def is_there() -> bool:
        nonlocal shown
        shown = _shown(demo, authority)
        return bool(shown["epoch"] >= epoch) or shown["status"] == "failed"

    wait_until(is_there)
    if not shown or shown["epoch"] < epoch:
        raise DemoFailed(f"epoch {epoch} of {authority} did not come into force: {shown.get('last')}")
    return shown


def wait_until(holds: Callable[[], bool], wait_s: float = _WAIT_S) -> bool:
    """Whether ``holds`` came true in time."""
    deadline = time.monotonic() + wait_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _verified_elsewhere(demo: Demo, shown: Any) -> str:
    """Have the signature verified by gnark-crypto, in Go, where that program was built; says by whom."""
    program = shutil.which(os.environ.get(VERIFIER_VARIABLE) or "no-verifier")
    if program is None:
        demo.tell.done("verified by dta; the Go verifier is not built here (tools/authority-verifier)")
        return "blst"
    line = " ".join(
        ["min-sig", _MIN_SIG_TAG, shown["public_key"], shown["bytes_signed"] or "-", shown["signature"]]
    )
    done = subprocess.run([program, "signatures"], input=line + "\n", capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip() != "valid":
        raise DemoFailed(f"another library refuses the signature: {done.stdout}{done.stderr}")
    demo.tell.done(f"{Path(program).name.rsplit('-', 1)[0]} (Go, gnark-crypto) says: valid")
    return "blst and by gnark-crypto"
