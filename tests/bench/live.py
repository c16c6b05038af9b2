"""A whole localnet with its agents, what its processes cost, and a client that acts on it by the SDK."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from dta.base.home import Home
from dta.cli.session import Session as CliSession
from dta.client.custody import session as sdk
from dta.client.custody.blocks import Blocks
from dta.hsm import softhsm
from dta.localnet.actors import Demo
from dta.localnet.network import Network, Plan
from tests.bench.figures import process_rss_mb, process_seconds

TIMEOUT_COMMIT_MS = 300
# Principals by the dozen come without a sponsor: nobody measures registrations.
PARAMETERS = ("registration=open",)


@contextmanager
def localnet(
    comet_binary: str, port_base: int, validators: int = 4, kind: type[Network] = Network
) -> Iterator[Demo]:
    """Running, with real tokens where SoftHSM2 is installed; gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="dta-bench-"))
    hsm = "softhsm" if softhsm.find_module() else "software"
    network = kind(root / "n")
    variable = os.environ.get(softhsm.CONFIG_VARIABLE)
    try:
        plan = Plan(validators, hsm, "dta-bench", port_base, comet_binary, timeout_commit_ms=TIMEOUT_COMMIT_MS)
        network.create(plan, PARAMETERS)
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


def rpc_urls(network: Network) -> list[str]:
    """Of all nodes."""
    return [network.rpc_url(node) for node in network.nodes()]


@contextmanager
def acting(home: Path) -> Iterator[sdk.Session]:
    """The SDK's session of a client's home, as its own commands have it, in this process."""
    cli = CliSession(Home(home))
    profile = cli.profile()
    with cli.keyring() as ring, cli.ledger() as ledger:
        party = sdk.Party(ring.signer(profile), ring.bls(profile), lambda: ring.keystore(profile.root))
        yield sdk.Session(ledger, party, Blocks(home / "envelopes", ledger.trust.gid), home)


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds, of all nodes together by kind of process, and of this client."""

    agents: float
    cometbfts: float
    applications: float
    doors: float
    supervisors: float
    client: float

    def since(self, before: Spent) -> Spent:
        return Spent(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))


class Processes:
    """The processes of a running network, as they are now: whoever starts one again makes this anew."""

    def __init__(self, network: Network) -> None:
        nodes = list(network.nodes())
        self.agents, self.cometbfts, self.applications, self.doors = (
            [_pid(network.child_pid(node, name), name) for node in nodes]
            for name in ("agent", "cometbft", "application", "door")
        )
        self._supervisors = [_pid(network.pid(node), "node") for node in nodes]

    def spent(self) -> Spent:
        """Until now."""
        agents, cometbfts, applications, doors, supervisors = (
            sum(map(process_seconds, pids))
            for pids in (self.agents, self.cometbfts, self.applications, self.doors, self._supervisors)
        )
        return Spent(agents, cometbfts, applications, doors, supervisors, time.process_time())

    def idle(self, seconds: float) -> Spent:
        """Processor seconds a second while this client asks for nothing."""
        before = self.spent()
        time.sleep(seconds)
        return Spent(*(value / seconds for value in astuple(self.spent().since(before))))

    def rss_mb(self) -> dict[str, float]:
        """The greatest resident memory of each kind."""
        kinds = {
            "agent": self.agents, "cometbft": self.cometbfts, "application": self.applications, "door": self.doors,
        }  # fmt: skip
        return {kind: max(map(process_rss_mb, pids)) for kind, pids in kinds.items()}


def _pid(found: int | None, name: str) -> int:
    if found is None:
        raise RuntimeError(f"a {name} process is not running")
    return found


def shares(spent: Spent, items: float) -> dict[str, float]:
    """Milliseconds an item by kind of process."""
    names = ("agents", "cometbfts", "applications", "doors", "supervisors", "client")
    return {name: value / items * 1e3 for name, value in zip(names, astuple(spent), strict=True)}
