"""Receipts of the demo: written while the ledger runs, verified by a stranger when every process of it is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dta.base.errors import DtaError
from dta.client.genesis import genesis_file
from dta.light.trust import TrustFile
from dta.localnet.network import Network

EXIT_NOT_VERIFIED = 5
_WORTH_SHOWING = ("the receipt holds", "trusted", "proved", "signed", "at height")
SECOND_VERIFIER_VARIABLE = "DTA_RECEIPT_VERIFIER"


class ReceiptsFailed(DtaError):
    """A receipt that should hold does not, or the other way round."""

    kind = "receipts-failed"


@dataclass
class Receipts:
    """What a stranger is handed: the receipts, and the genesis file that says whom to believe. ``say`` gets lines."""

    net: Network
    say: Callable[[str], None]
    files: list[tuple[Path, list[str]]] = field(default_factory=list)

    def write_order(self, home: Path, order: str, name: str = "order") -> None:
        """The whole story of an order."""
        out = self._path(name)
        made = self.net.dta_json(["receipt", "get", "order", order, "--out", str(out)], home=home)
        self._keep(out, [], f"of order {order[:16]}…, {len(made['transactions'])} transactions")

    def write_not_revoked(self, home: Path, identity: str) -> None:
        """That an identity is not revoked now."""
        out = self._path("identity")
        height = str(self.net.height(0) - 1)
        wanted = ["--not-revoked-at", height]
        self.net.dta_json(["receipt", "get", "identity", identity, "--out", str(out), *wanted], home=home)
        self._keep(out, wanted, f"that identity {identity[:16]}… was not revoked at height {height}")

    def write_no_permit(self, home: Path, realm: str, client: str, day: str) -> None:
        """That a revoked client has no time permit for a day, and never will."""
        out = self._path("no-permit")
        wanted = ["receipt", "get", "permit", client, "--realm", realm, "--day", day, "--out", str(out)]
        self.net.dta_json(wanted, home=home)
        self._keep(out, [], f"that client {client[:16]}… is revoked and has no permit for {day}")

    def verify_offline(self) -> int:
        """Stop everything, then verify: by ours, by the second verifier where there is one; how many verifiers.

        Raises :class:`ReceiptsFailed` where a process is left, a receipt does not hold, or a changed one does.
        """
        self.net.down()
        left = self.net.processes()
        if left:
            raise ReceiptsFailed(f"processes of the localnet are left: {left}")
        self.say("every process is stopped: no CometBFT, no application, no agent, no port")
        genesis = self.net.root / "genesis.json"
        stranger = self.net.root / "stranger"
        stranger.mkdir(mode=0o700)
        for path, wanted in self.files:
            done = self.net.dta(["receipt", "verify", str(path), "--trust", str(genesis), *wanted], home=stranger)
            for line in done.stdout.decode().splitlines():
                if line.startswith(_WORTH_SHOWING):
                    self.say(f"  {line}")
            self._refuse_a_changed_one(path, genesis, stranger)
        self.say("the Python verifier holds them good, and refuses each with one byte changed")
        return 1 + self._second_verifier(genesis)

    def _path(self, what: str) -> Path:
        directory = self.net.root / "receipts"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / f"{what}.receipt"

    def _keep(self, path: Path, wanted: list[str], what: str) -> None:
        self.files.append((path, wanted))
        self.say(f"{path.name}, {path.stat().st_size:,} bytes: {what}")

    def _refuse_a_changed_one(self, path: Path, genesis: Path, home: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        changed = path.with_suffix(".changed")
        changed.write_bytes(content)
        command = ["receipt", "verify", str(changed), "--trust", str(genesis)]
        self.net.dta(command, home=home, accept=(EXIT_NOT_VERIFIED,))

    def _second_verifier(self, genesis: Path) -> int:
        program = shutil.which(os.environ.get(SECOND_VERIFIER_VARIABLE) or "no-second-verifier")
        if program is None:
            self.say("the second verifier, in Go, is not built here (tools/receipt-verifier)")
            return 0
        found = genesis_file.read(genesis.read_bytes())
        trust = self.net.root / "receipts" / "trust.json"
        TrustFile.from_genesis(genesis.read_bytes(), found.gid, found.genesis.time.seconds).save(trust)
        command = [program, "-trust", str(trust), *(str(path) for path, _ in self.files)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120)
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        if done.returncode:
            raise ReceiptsFailed(f"the second verifier says otherwise: {said}")
        for line in said.splitlines():
            self.say(f"  {line}")
        self.say("the second verifier, in Go over CometBFT's light client and ics23, says the same")
        return 1
