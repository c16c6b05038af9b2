"""A whole localnet with its agents, a client that acts on it by the SDK, and blocks watched as they come."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from dta.base.errors import DtaError
from dta.base.home import Home
from dta.cli.session import Session as CliSession
from dta.client.custody import session as sdk
from dta.client.custody.blocks import Blocks
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.hsm import softhsm
from dta.localnet.demo import Demo
from dta.localnet.network import Network, Plan
from tests.bench.load import encode_batches

POLL_S = 0.03
TIMEOUT_COMMIT_MS = 300


@contextmanager
def localnet(comet_binary: str, port_base: int, validators: int = 4) -> Iterator[Demo]:
    """Running, with real tokens where SoftHSM2 is installed; gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="dta-bench-"))
    hsm = "softhsm" if softhsm.find_module() else "software"
    network = Network(root / "n")
    variable = os.environ.get(softhsm.CONFIG_VARIABLE)
    try:
        network.create(
            Plan(validators, hsm, "dta-bench", port_base, comet_binary, timeout_commit_ms=TIMEOUT_COMMIT_MS)
        )
        network.up()
        yield Demo(network)
    finally:
        if network.exists:
            network.down()
        if variable is None:
            os.environ.pop(softhsm.CONFIG_VARIABLE, None)
        else:
            os.environ[softhsm.CONFIG_VARIABLE] = variable
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def acting(home: Path) -> Iterator[sdk.Session]:
    """The SDK's session of a client's home, as its own commands have it, in this process."""
    cli = CliSession(Home(home))
    profile = cli.profile()
    with cli.keyring() as ring, cli.ledger() as ledger:
        party = sdk.Party(ring.signer(profile), ring.bls(profile), lambda: ring.keystore(profile.root))
        yield sdk.Session(ledger, party, Blocks(home / "envelopes", ledger.trust.gid), home)


def send_all(url: str, txs: Sequence[bytes]) -> float:
    """Hand transactions over in one request, without waiting for checks. When: monotonic seconds."""
    (body,) = encode_batches(txs, len(txs))
    at_s = time.monotonic()
    answer = httpx.post(url, content=body, headers={"Content-Type": "application/json"}, timeout=60, trust_env=False)
    if answer.text.count('"code":0') != len(txs):
        raise RuntimeError(f"refused: {answer.text[:500]}")
    return at_s


@dataclass(frozen=True, slots=True)
class Mark:
    """When something was first said in a block: its height, and when this client saw that block."""

    height: int
    at_s: float


class BlockWatch:
    """Reads every new block's results at one node. A context manager.

    ``marks``: (kind, id in hex, action or status) to its first :class:`Mark`. So an order's ``fulfilled`` that makes it
    ACTIVE is found by ``active`` too.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.marks: dict[tuple[str, str, str], Mark] = {}
        self.failed_codes: list[int] = []

    def __enter__(self) -> BlockWatch:
        with Rpc(self._url) as rpc:
            self._height = rpc.call(requests.status()).latest_height
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, what: str, is_so: Callable[[], bool], timeout_s: float = 120.0) -> None:
        """Until it is so. Raises RuntimeError naming ``what``."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > deadline:
                raise RuntimeError(f"after {timeout_s:.0f} s still not: {what}; codes {self.failed_codes[:5]}")
            time.sleep(POLL_S)

    def mark(self, kind: str, id_: bytes, action: str, timeout_s: float = 120.0) -> Mark:
        """The mark, waited for."""
        key = (kind, id_.hex(), action)
        self.wait(f"{kind} {action}", lambda: key in self.marks, timeout_s)
        return self.marks[key]

    def _run(self) -> None:
        with Rpc(self._url) as rpc:
            while not self._stop.wait(POLL_S):
                try:
                    latest = rpc.call(requests.status()).latest_height
                    now_s = time.monotonic()
                    while self._height < latest:
                        results = rpc.call(requests.block_results(self._height + 1))
                        self._height += 1
                        self._read(results, Mark(self._height, now_s))
                except DtaError:
                    continue  # the block is there and its results are not yet

    def _read(self, results: requests.BlockResults, mark: Mark) -> None:
        for result in results.tx_results:
            if result.code:
                self.failed_codes.append(result.code)
            for event in result.events:
                pairs = dict(event.attributes)
                for action in (pairs.get("action", ""), pairs.get("status", "")):
                    self.marks.setdefault((event.kind, pairs.get("id", ""), action), mark)
