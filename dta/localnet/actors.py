"""Who acts on a localnet: people with homes and identities, each of whose steps is a ``dta`` command."""

from __future__ import annotations

import time
from typing import Any

from dta.base.errors import EXIT_REFUSED, DtaError
from dta.localnet.network import Network
from dta.localnet.people import enrol
from dta.localnet.telling import Telling

_INBOX_WAIT_S = 60.0


class DemoFailed(DtaError):
    """The demo found something that should not be."""

    kind = "demo-failed"


class Demo:
    """One run. ``network`` is fresh."""

    def __init__(self, network: Network) -> None:
        self.net = network
        self.tell = Telling()
        self.identities: dict[str, str] = {}

    # --- people -------------------------------------------------------------------------------------------------
    def enrol(self, name: str) -> None:
        """A client's home, its identity, sponsored by a fiduciary's operator."""
        self.identities[name] = enrol(self.net, name)

    def by(self, name: str, *arguments: str) -> Any:
        """Run a command as ``name`` and parse its JSON."""
        return self.net.dta_json(list(arguments), home=self.net.client_home(name))

    def waiting(self, name: str, action: str, order: str) -> str:
        """The request of that order, or the order, that waits for ``name`` to do this, as its inbox has it.

        The node that it asks may be a block behind the one by which the request was made.
        """
        until_s = time.monotonic() + _INBOX_WAIT_S
        while True:
            items = self.by(name, "inbox")["items"]
            found: list[str] = [
                item["subject"]
                for item in items
                if order in (item["parent"], item["subject"]) and action in item["actions"]
            ]
            if found:
                return found[0]
            if time.monotonic() > until_s:
                raise DemoFailed(f"{name}'s inbox has nothing to {action} about order {order}: {items}")
            time.sleep(0.5)

    # --- steps --------------------------------------------------------------------------------------------------
    def place(self, label: str, secret: bytes, vault: str, *options: str) -> str:
        """Alice places an order for ``secret``; returns its reference."""
        path = self.net.client_home("alice") / f"{label}.secret"
        path.write_bytes(secret)
        path.chmod(0o600)
        answer = self.by("alice", "order", "place", "--vault", vault, "--secret-file", str(path), *options)
        reference: str = answer["order"]
        self.tell.done(f"{label}: order {reference[:16]}… is {answer['status']}, {len(secret)} bytes sealed")
        return reference

    def receive(self, who: str, label: str, request: str, secret: bytes) -> None:
        """``who`` receives, and what comes out is what went in."""
        out = self.net.client_home(who) / f"{label}.received"
        started = time.monotonic()
        self.by(who, "order", "receive", request, "--out", str(out))
        if out.read_bytes() != secret:
            raise DemoFailed(f"{label}: what came out is not what went in")
        self.tell.done(f"{label}: {who} has it, byte for byte ({time.monotonic() - started:.1f} s)")

    def refused(self, who: str, why: str, *arguments: str) -> str:
        """A command that the ledger must refuse; returns what it said."""
        done = self.net.dta(
            list(arguments), home=self.net.client_home(who), accept=(EXIT_REFUSED,)
        )
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = [line for line in lines if line.startswith(("error", "hint"))]
        self.tell.done(f"{why}: refused")
        for line in said[:2]:
            self.tell.aside(line)
        return said[0] if said else ""
