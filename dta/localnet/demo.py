"""The main job, visibly: real secrets entrusted to a consortium, received by policy, with a fiduciary down.

Every step is a ``dta`` command, run as a person would run it; what the demo shows it has checked.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from dta.errors import EXIT_REFUSED, DtaError
from dta.localnet.network import Network, Plan
from dta.localnet.receipts import Receipts

_TALK = Console(stderr=True, highlight=False)
SEED_WORDS = 24


@dataclass
class Facts:
    """What the summary tells."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)

    def add(self, what: str, how: str, outcome: str) -> None:
        self.rows.append((what, how, outcome))


class DemoFailed(DtaError):
    """The demo found something that should not be."""

    kind = "demo-failed"


class Demo:
    """One run. ``network`` is fresh."""

    def __init__(self, network: Network) -> None:
        self.net = network
        self.facts = Facts()
        self.identities: dict[str, str] = {}

    # --- people -------------------------------------------------------------------------------------------------
    def enrol(self, name: str) -> None:
        """A client's home, its identity, sponsored by a fiduciary's operator."""
        home = self.net.client_home(name)
        home.mkdir(mode=0o700, parents=True)
        pin = self.net.root / "pins" / name
        pin.write_text(secrets.token_hex(8) + "\n")
        pin.chmod(0o600)
        urls = [argument for node in self.net.nodes() for argument in ("--rpc", self.net.rpc_url(node))]
        self.net.dta(["init", "client", "--genesis", str(self.net.root / "genesis.json"), *urls], home=home)
        request = home / "request.dta"
        self.net.dta(
            ["identity", "create", "--name", name, "--pin-file", str(pin), "--out", str(request)], home=home
        )
        answer = self.net.dta_json(["identity", "sponsor", str(request)], home=self.net.home(0))
        self.identities[name] = answer["identity"]

    def by(self, name: str, *arguments: str) -> Any:
        """Run a command as ``name`` and parse its JSON."""
        return self.net.dta_json(list(arguments), home=self.net.client_home(name))

    # --- steps --------------------------------------------------------------------------------------------------
    def place(self, label: str, secret: bytes, vault: str, *options: str) -> str:
        """Alice places an order for ``secret``; returns its reference."""
        path = self.net.client_home("alice") / f"{label}.secret"
        path.write_bytes(secret)
        path.chmod(0o600)
        answer = self.by("alice", "order", "place", "--vault", vault, "--secret-file", str(path), *options)
        reference: str = answer["order"]
        _done(f"{label}: order {reference[:16]}… is {answer['status']}, {len(secret)} bytes sealed")
        return reference

    def receive(self, who: str, label: str, request: str, secret: bytes) -> None:
        """``who`` receives, and what comes out is what went in."""
        out = self.net.client_home(who) / f"{label}.received"
        started = time.monotonic()
        self.by(who, "order", "receive", request, "--out", str(out))
        if out.read_bytes() != secret:
            raise DemoFailed(f"{label}: what came out is not what went in")
        _done(f"{label}: {who} has it, byte for byte ({time.monotonic() - started:.1f} s)")

    def refused(self, who: str, why: str, *arguments: str) -> str:
        """A command that the ledger must refuse; returns what it said."""
        done = self.net.dta(
            list(arguments), home=self.net.client_home(who), accept=(EXIT_REFUSED,)
        )
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = [line for line in lines if line.startswith(("error", "hint"))]
        _done(f"{why}: refused")
        for line in said[:2]:
            _TALK.print(f"      [dim]{line}[/dim]", markup=True)
        return said[0] if said else ""


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


@contextmanager
def _step(title: str) -> Iterator[None]:
    _TALK.print(f"\n[bold cyan]{title}[/bold cyan]")
    with _TALK.status("working", spinner="dots"):
        yield


def _done(line: str) -> None:
    _TALK.print(f"  [green]done[/green]  {line}")


def run_demo(root: Path, plan: Plan, keep: bool = False) -> int:
    """The whole demo; 0 when all of it held. Cleans up after itself unless ``keep``."""
    network = Network(root, _done)
    network.remove()
    try:
        demo = Demo(network)
        who = "One fiduciary founds" if plan.validators == 1 else f"{plan.validators} fiduciaries found"
        with _step(f"1. {who} a consortium ({plan.hsm}, real CometBFT)"):
            network.create(plan)
            network.up()
        receipts = Receipts(network, _done)
        if plan.validators == 1:
            _single(demo, receipts)
        else:
            _consortium(demo, receipts)
        with _step(f"{4 if plan.validators == 1 else 13}. Everything is stopped; a stranger verifies the receipts"):
            count = receipts.verify_offline()
            demo.facts.add(f"{len(receipts.files)} receipts", "every process stopped", f"good, by {count} verifiers")
        _summary(demo)
        if keep:
            network.up()
    except DtaError:
        for line in network.troubles():
            _TALK.print(line, markup=False)
        raise
    finally:
        if keep:
            _TALK.print(f"left running in {root}")
        else:
            network.remove()
    return 0


def _single(demo: Demo, receipts: Receipts) -> None:
    """One D-TA in all three roles: principal, fiduciary and beneficiary in one home."""
    net, material = demo.net, make_secrets()
    home = net.home(0)
    with _step("2. It opens a vault with itself and places an order"):
        vault = net.dta_json(["vault", "open"], home=home)["vault"]
        secret = material["ssh-key"]
        path = home / "ssh-key.secret"
        path.write_bytes(secret)
        own = net.dta_json(["identity", "show"], home=home)["identity"]
        order = net.dta_json(
            ["order", "place", "--vault", vault, "--secret-file", str(path), "--beneficiary", own], home=home
        )["order"]
        _done(f"order {order[:16]}… is active")
    with _step("3. It asks for the secret and receives it"):
        request = net.dta_json(["order", "request", order], home=home)["request"]
        out = home / "ssh-key.received"
        net.dta_json(["order", "receive", request, "--out", str(out)], home=home)
        if out.read_bytes() != secret:
            raise DemoFailed("what came out is not what went in")
        _done("byte for byte")
        receipts.write_order(home, order)
        receipts.write_not_revoked(home, own)
    demo.facts.add("SSH key", "a single D-TA in three roles", f"received, sha256 {sha256(secret).hexdigest()[:12]}…")


def _consortium(demo: Demo, receipts: Receipts) -> None:
    net, material = demo.net, make_secrets()
    with _step("2. Alice, Bob, Carol and Mallory register, sponsored by a fiduciary; Alice opens a vault"):
        for name in ("alice", "bob", "carol", "mallory"):
            demo.enrol(name)
            _done(f"{name} is {demo.identities[name][:16]}…")
        vault = demo.by("alice", "vault", "open")["vault"]
        _done(f"vault {vault[:16]}…: every fiduciary's HSM made a key for it")
    ids = demo.identities
    with _step("3. Alice entrusts three secrets under three policies"):
        ssh = demo.place("ssh-key", material["ssh-key"], vault, "--beneficiary", ids["bob"])
        tls = demo.place(
            "tls-key", material["tls-key"], vault, "--beneficiary", ids["bob"],
            "--policy", f"2of:{ids['alice']},{ids['bob']},{ids['carol']}",
        )  # fmt: skip
        seed = demo.place(
            "wallet-seed", material["wallet-seed"], vault, "--beneficiary", ids["carol"], "--veto-window", "15"
        )
    down = net.plan.validators - 1
    with _step(f"4. Fiduciary {down} goes down; the others go on"):
        net.stop(down)
        _done(f"fiduciary {down} is stopped")
    with _step("5. Bob receives the SSH key: the policy wants him alone"):
        request = demo.by("bob", "order", "request", ssh)["request"]
        demo.receive("bob", "ssh-key", request, material["ssh-key"])
        demo.facts.add("SSH private key", "single party, one fiduciary down", "received by Bob")
    with _step("6. Bob asks for the TLS key: two of three must agree"):
        request = demo.by("bob", "order", "request", tls)["request"]
        _done("Bob asked, which counts as his approval; one more is wanted")
        demo.by("carol", "order", "approve", request)
        _done("Carol approved")
        demo.receive("bob", "tls-key", request, material["tls-key"])
        demo.facts.add("TLS private key", "2 of 3 approvals, one fiduciary down", "received by Bob")
    with _step("7. Carol asks for the seed; Alice vetoes inside the window; Carol asks again, nobody objects"):
        request = demo.by("carol", "order", "request", seed)["request"]
        demo.by("alice", "order", "veto", request)
        _done("vetoed: no fiduciary released a share")
        request = demo.by("carol", "order", "request", seed)["request"]
        demo.receive("carol", "wallet-seed", request, material["wallet-seed"])
        demo.facts.add("24-word seed", "a veto window of 15 s: once vetoed, once not", "received by Carol")
    with _step("8. Mallory has no right to any of it"):
        said = demo.refused("mallory", "Mallory asks for Bob's SSH key", "order", "request", ssh)
        demo.facts.add("Mallory's request", "neither principal nor beneficiary", said.removeprefix("error: "))
    with _step(f"9. Fiduciary {down} comes back and catches up"):
        net.start(down)
        at = max(net.height(node) for node in net.nodes() if node != down)
        net.wait_for_height(at + 1)
        hashes = {node: net.app_hash(node, at) for node in net.nodes()}
        if len(set(hashes.values())) != 1:
            raise DemoFailed(f"app hashes differ at height {at}: {hashes}")
        _done(f"all {net.plan.validators} are at one app hash at height {at}: {hashes[0][:24]}…")
        demo.facts.add(f"height {at}", f"{net.plan.validators} nodes", f"one app hash {hashes[0][:16]}…")
    with _step("10. Alice closes the order of the SSH key: from now on nobody receives it"):
        demo.by("alice", "order", "close", ssh)
        demo.refused("bob", "Bob asks again", "order", "request", ssh)
        demo.facts.add("SSH order closed", "CloseOrder", "later requests are refused")
    with _step("11. No node's disk or log has any of it in clear"):
        found = traces(net, material)
        if found:
            raise DemoFailed(f"plaintext found in {found}")
        _done("searched every file of every node")
    with _step("12. Alice writes receipts: the TLS order's whole story, and that Bob was not revoked"):
        receipts.write_order(net.client_home("alice"), tls)
        receipts.write_not_revoked(net.client_home("alice"), ids["bob"])


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


def _summary(demo: Demo) -> None:
    table = Table("what", "how", "outcome", title="What happened")
    for row in demo.facts.rows:
        table.add_row(*row)
    _TALK.print()
    _TALK.print(table)
    seconds = time.monotonic() - demo.facts.started_at
    _TALK.print(Panel(f"Everything above was checked as it happened. {seconds:.0f} seconds.", expand=False))
