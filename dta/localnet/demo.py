"""The main job, visibly: real secrets entrusted to a consortium, received by policy, with a fiduciary down.

Every step is a ``dta`` command, run as a person would run it; what the demo shows it has checked.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from dta.base.errors import DtaError
from dta.localnet import demo_authority, demo_mfa
from dta.localnet.actors import Demo, DemoFailed
from dta.localnet.network import Network, Plan
from dta.localnet.receipts import Receipts

SEED_WORDS = 24


def make_secrets() -> dict[str, bytes]:
    """An SSH private key, a TLS key, a seed of 24 words: real ones, made here."""
    ssh = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    tls = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"ssh-key": ssh, "tls-key": tls, "wallet-seed": (seed_words() + "\n").encode()}


def seed_words() -> str:
    """24 pronounceable words of 11 bits each: 264 random bits. (Not BIP 39's list: any words do for a demo.)"""
    consonants, vowels = "bdfghjklmnprstvz", "aeio"
    words = []
    for _ in range(SEED_WORDS):
        bits = secrets.randbits(12)
        first, second = bits >> 6, bits & 63
        words.append(f"{consonants[first >> 2]}{vowels[first & 3]}{consonants[second >> 2]}{vowels[second & 3]}")
    return " ".join(words)


def run_demo(root: Path, plan: Plan, keep: bool = False) -> int:
    """The whole demo; 0 when all of it held. Cleans up after itself unless ``keep``."""
    network = Network(root, lambda line: demo.tell.done(line))
    demo = Demo(network)
    network.remove()
    try:
        who = "One fiduciary founds" if plan.validators == 1 else f"{plan.validators} fiduciaries found"
        with demo.tell.step(f"{who} a consortium ({plan.hsm}, real CometBFT)"):
            network.create(plan)
            network.up()
        receipts = Receipts(network, demo.tell.done)
        if plan.validators == 1:
            _single(demo, receipts)
        else:
            _consortium(demo, receipts)
            _authority(demo, receipts)
        with demo.tell.step("Everything is stopped; a stranger verifies the receipts"):
            count = receipts.verify_offline()
            demo.tell.fact(f"{len(receipts.files)} receipts", "every process stopped", f"good, by {count} verifiers")
        demo.tell.summary()
        if keep:
            network.up()
    except DtaError:
        for line in network.troubles():
            demo.tell.console.print(line, markup=False)
        raise
    finally:
        if keep:
            demo.tell.console.print(f"left running in {root}")
        else:
            network.remove()
    return 0


def _single(demo: Demo, receipts: Receipts) -> None:
    """One D-TA in all three roles: principal, fiduciary and beneficiary in one home."""
    net, material = demo.net, make_secrets()
    home = net.home(0)
    with demo.tell.step("It opens a vault with itself and places an order"):
        vault = net.dta_json(["vault", "open"], home=home)["vault"]
        secret = material["ssh-key"]
        path = home / "ssh-key.secret"
        path.write_bytes(secret)
        own = net.dta_json(["identity", "show"], home=home)["identity"]
        order = net.dta_json(
            ["order", "place", "--vault", vault, "--secret-file", str(path), "--beneficiary", own], home=home
        )["order"]
        demo.tell.done(f"order {order[:16]}… is active")
    with demo.tell.step("It asks for the secret and receives it"):
        request = net.dta_json(["order", "request", order], home=home)["request"]
        out = home / "ssh-key.received"
        net.dta_json(["order", "receive", request, "--out", str(out)], home=home)
        if out.read_bytes() != secret:
            raise DemoFailed("what came out is not what went in")
        demo.tell.done("byte for byte")
        receipts.write_order(home, order)
        receipts.write_not_revoked(home, own)
    demo.tell.fact("SSH key", "a single D-TA in three roles", f"received, sha256 {sha256(secret).hexdigest()[:12]}…")


def _people(demo: Demo) -> str:
    """Four clients, three of whom know each other; Alice's vault."""
    with demo.tell.step("Alice, Bob, Carol and Mallory register, sponsored by a fiduciary; Alice opens a vault"):
        for name in ("alice", "bob", "carol", "mallory"):
            demo.enrol(name)
            demo.tell.done(f"{name} is {demo.identities[name][:16]}…")
        for name, other in (("bob", "alice"), ("carol", "alice"), ("alice", "bob"), ("alice", "carol")):
            demo.by(name, "contacts", "add", other, demo.identities[other])
        demo.tell.done("Alice, Bob and Carol know each other's ids, from each other")
        vault: str = demo.by("alice", "vault", "open")["vault"]
        demo.tell.done(f"vault {vault[:16]}…: every fiduciary's HSM made a key for it")
    return vault


def _consortium(demo: Demo, receipts: Receipts) -> None:
    net, material = demo.net, make_secrets()
    vault = _people(demo)
    ids = demo.identities
    with demo.tell.step("Alice entrusts three secrets under three policies"):
        ssh = demo.place("ssh-key", material["ssh-key"], vault, "--beneficiary", ids["bob"])
        tls = demo.place(
            "tls-key", material["tls-key"], vault, "--beneficiary", ids["bob"],
            "--policy", f"2of:{ids['alice']},{ids['bob']},{ids['carol']}",
        )  # fmt: skip
        seed = demo.place(
            "wallet-seed", material["wallet-seed"], vault, "--beneficiary", ids["carol"], "--veto-window", "25"
        )
    down = net.plan.validators - 1
    with demo.tell.step(f"Fiduciary {down} goes down; the others go on"):
        net.stop(down)
        demo.tell.done(f"fiduciary {down} is stopped")
    with demo.tell.step("Bob receives the SSH key: the policy wants him alone"):
        request = demo.by("bob", "order", "request", ssh)["request"]
        demo.receive("bob", "ssh-key", request, material["ssh-key"])
        demo.tell.fact("SSH private key", "single party, one fiduciary down", "received by Bob")
    with demo.tell.step("Bob asks for the TLS key: two of three must agree"):
        request = demo.by("bob", "order", "request", tls)["request"]
        demo.tell.done("Bob asked, which counts as his approval; one more is wanted")
        demo.by("carol", "order", "approve", demo.waiting("carol", "approve", tls))
        demo.tell.done("Carol's inbox showed the request; she approved")
        demo.receive("bob", "tls-key", request, material["tls-key"])
        demo.tell.fact("TLS private key", "2 of 3 approvals, one fiduciary down", "received by Bob")
    with demo.tell.step("Carol asks for the seed; Alice vetoes inside the window; Carol asks again, nobody objects"):
        demo.by("carol", "order", "request", seed)
        demo.by("alice", "order", "veto", demo.waiting("alice", "veto", seed))
        demo.tell.done("Alice's inbox showed the request and until when; vetoed: no fiduciary released a share")
        request = demo.by("carol", "order", "request", seed)["request"]
        demo.receive("carol", "wallet-seed", request, material["wallet-seed"])
        demo.tell.fact("24-word seed", "a veto window of 25 s: once vetoed, once not", "received by Carol")
    with demo.tell.step("Mallory has no right to any of it"):
        said = demo.refused("mallory", "Mallory asks for Bob's SSH key", "order", "request", ssh)
        demo.tell.fact("Mallory's request", "neither principal nor beneficiary", said.removeprefix("error: "))
    with demo.tell.step(f"Fiduciary {down} comes back and catches up"):
        net.start(down)
        at = max(net.height(node) for node in net.nodes() if node != down)
        net.wait_for_height(at + 1)
        hashes = {node: net.app_hash(node, at) for node in net.nodes()}
        if len(set(hashes.values())) != 1:
            raise DemoFailed(f"app hashes differ at height {at}: {hashes}")
        demo.tell.done(f"all {net.plan.validators} are at one app hash at height {at}: {hashes[0][:24]}…")
        demo.tell.fact(f"height {at}", f"{net.plan.validators} nodes", f"one app hash {hashes[0][:16]}…")
    with demo.tell.step("Alice closes the order of the SSH key: from now on nobody receives it"):
        demo.by("alice", "order", "close", ssh)
        demo.refused("bob", "Bob asks again", "order", "request", ssh)
        demo.tell.fact("SSH order closed", "CloseOrder", "later requests are refused")
    with demo.tell.step("No node's disk or log has any of it in clear"):
        found = traces(net, material)
        if found:
            raise DemoFailed(f"plaintext found in {found}")
        demo.tell.done("searched every file of every node")
    with demo.tell.step("Alice writes receipts: the TLS order's whole story, and that Bob was not revoked"):
        receipts.write_order(net.client_home("alice"), tls)
        receipts.write_not_revoked(net.client_home("alice"), ids["bob"])


def _authority(demo: Demo, receipts: Receipts) -> None:
    """What four fiduciaries or more do with keys that none of them holds."""
    if demo.net.plan.validators < demo_authority.LEAST_VALIDATORS:
        demo.tell.console.print("\nThe authority's part of the demo takes four validators: left out")
        return
    keys = demo_authority.ceremony(demo)
    demo_mfa.run(demo, receipts)
    demo_authority.signature(demo, keys)
    demo_authority.reshared_order(demo, receipts, keys)


def traces(net: Network, material: dict[str, bytes]) -> list[str]:
    """Files of the nodes in which a secret, or a line of it, stands in clear."""
    needles = [
        line for secret in material.values() for line in (secret.strip(), *secret.splitlines())
        if len(line) >= 24 and b"PRIVATE KEY" not in line
    ]  # fmt: skip
    found = []
    for node in net.nodes():
        for path in sorted(net.home(node).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                found += [str(path)] * any(needle in content for needle in needles)
    return found
