"""One localnet for the suite: four real validators, real tokens where SoftHSM2 is there, clients with identities."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from dta.hsm import softhsm
from dta.localnet.actors import Demo
from dta.localnet.network import Plan
from tests.localnet.abci_calls import WatchedNetwork
from tests.localnet.links import Links

# Of the shared network; lanes.py has two of them.
PORT_BASE = int(os.environ.get("DTA_TEST_PORT_BASE", "29000"))


def comet_binary() -> str:
    """The CometBFT to test with; the suite is skipped, saying so, where there is none."""
    named = os.environ.get("DTA_COMETBFT", "")
    if named and Path(named).exists():
        return named
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dta" / "bin"
    built = sorted(cache.glob("cometbft-v0.39*"))
    if not built:
        pytest.skip("CometBFT is not built: scripts/test.sh builds it")
    return str(built[-1])


def make_plan(validators: int = 4, port_base: int = PORT_BASE) -> Plan:
    """SoftHSM2 where it is installed, the software keystore elsewhere."""
    hsm = "softhsm" if softhsm.find_module() else "software"
    return Plan(validators, hsm, "dta-test-net", port_base, comet_binary(), timeout_commit_ms=300)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the one shared network; any other module has networks, and ports, of its own."""
    for item in items:
        module = item.getparent(pytest.Module)
        assert module is not None
        assert isinstance(item, pytest.Function)
        if "net" in item.fixturenames and not hasattr(module.obj, "net"):
            item.add_marker(pytest.mark.shared_network)
        if module.path.stem.startswith("test_faults_"):
            item.add_marker(pytest.mark.faults)


class WiredNetwork(WatchedNetwork):
    """A localnet whose cables can be cut, and whose nodes can be started in another environment."""

    links: Links
    extra: Mapping[str, str] = MappingProxyType({})

    def create(self, plan: Plan, parameters: Sequence[str] = ()) -> None:
        super().create(plan, parameters)
        self.links = Links(self)
        for node in self.nodes():
            self.links.wire(node)

    def wire(self, node: int) -> None:
        """Once more, a node whose configuration was made anew."""
        self.links.wire(node)
        self.calls.watch(node)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.extra}

    def restart(self, node: int, **environment: str) -> None:
        """Stop the node, and start it with these variables besides its own."""
        self.stop(node)
        self.extra = environment
        try:
            self.start(node)
        finally:
            self.extra = MappingProxyType({})


@pytest.fixture(scope="session")
def net() -> Iterator[WiredNetwork]:
    """A running consortium. Sockets have short paths: the directory is in the system's temporary one."""
    root = Path(tempfile.mkdtemp(prefix="dta-net-"))
    network = WiredNetwork(root / "n")
    try:
        network.create(make_plan())
        network.up()
        yield network
    finally:
        if network.exists:
            network.down()
        if os.environ.get("DTA_KEEP_LOCALNET"):
            print(f"kept {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(autouse=True)
def _calls_are_as_the_grammar_says(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does to the shared network, its applications were asked by the rules (networks of their own say
    so at their end).
    """
    shared = request.getfixturevalue("net") if "net" in request.fixturenames else None
    yield
    if isinstance(shared, WiredNetwork):
        shared.calls.check()


class People(Demo):
    """Clients of the localnet, enrolled once for the suite."""

    vault: str = ""

    def place_file(self, content: bytes, *options: str, vault: str = "") -> str:
        """Alice places an order over a file, in her own vault or another; returns its reference, ACTIVE."""
        path = self.net.client_home("alice") / f"{secrets.token_hex(4)}.secret"
        path.write_bytes(content)
        answer = self.by(
            "alice", "order", "place", "--vault", vault or self.vault, "--secret-file", str(path), "--beneficiary",
            self.identities["bob"], *options,
        )  # fmt: skip
        path.unlink()
        order: str = answer["order"]
        return order

    def receive_file(self, request: str, who: str = "bob") -> bytes:
        out = self.net.client_home(who) / f"{secrets.token_hex(4)}.out"
        self.by(who, "order", "receive", request, "--out", str(out))
        content = out.read_bytes()
        out.unlink()
        return content


@pytest.fixture(scope="session")
def people(net: WiredNetwork) -> People:
    """Alice with a vault, Bob, and Mallory."""
    people = People(net)
    for name in ("alice", "bob", "mallory"):
        people.enrol(name)
    people.vault = people.by("alice", "vault", "open")["vault"]
    return people
