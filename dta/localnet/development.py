"""A ledger to write an application against: one fiduciary, and two people with homes, on this machine (``dta dev``).

What is here protects nothing: every key is in a file, and the passphrase that opens it lies beside it.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dta.base.errors import UsageError
from dta.base.home import write_file
from dta.localnet import agents
from dta.localnet.agents import Agent
from dta.localnet.network import Network, Plan
from dta.localnet.people import enrol
from dta.node.tendermint_config import HOW_TO_BUILD

CHAIN_ID: Final = "dta-dev"
DEFAULT_PORT: Final = 28_000
PORTS: Final = 3
"""From the first on: peer-to-peer, RPC, gateway."""
PEOPLE: Final = ("alice", "bob")
PARAMETERS: Final = ("registration=open",)
"""An application registers whom it likes, and asks no operator."""
_NODE = 0
_READY_FILE = "ready.json"
"""Written last: without it the directory is half made, and is made again."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to act as: a home, whose one identity is on the ledger, and its agent. ``identity``: its id, in hex."""

    home: Path
    identity: str
    agent: Agent


@dataclass(frozen=True, slots=True)
class Development:
    """What runs. ``node``: the fiduciary's home; ``people`` know each other by name."""

    directory: Path
    genesis: Path
    node: Path
    rpc_url: str
    gateway_url: str
    people: Mapping[str, Person]


def up(directory: Path, port: int, comet_binary: str, say: Callable[[str], None] = lambda _: None) -> Development:
    """Makes what is not there yet, starts what does not run, and waits until it is well.

    ``port``: the first of ``PORTS``; 0: what it was made with, at first ``DEFAULT_PORT``. ``comet_binary``: a name on
    the PATH, or a path. ``say`` gets a line for people at each step. Raises UsageError, CommandFailed, TimedOut.
    """
    network = Network(directory, say)
    _begin_anew_where_half_made(network)
    if network.exists:
        _check_is_ours(network)
        if port not in (0, network.plan.port_base):
            raise UsageError(
                f"what is in {network.root} listens from port {network.plan.port_base} on",
                hint="leave the port out; or `dta dev down --forget` first",
            )
        if network.pid(_NODE) is None:
            _check_ports(network.plan.port_base)
        network.up()
    else:
        _make(network, port or DEFAULT_PORT, comet_binary)
    for name in PEOPLE:
        agents.start(network, name)
    return _found(network)


def down(directory: Path, *, forget: bool = False) -> bool:
    """Stops it; whether it ran. ``forget``: deletes the directory, with everything in it.

    Raises UsageError where nothing of ours is there.
    """
    network = Network(directory)
    if not network.exists:
        raise UsageError(f"there is nothing to stop in {network.root}", hint="`dta dev up` makes it")
    _check_is_ours(network)
    has_run = _is_made(network) and network.pid(_NODE) is not None
    for name in PEOPLE:
        agents.stop(network, name)
    if forget:
        _delete(network)
    else:
        network.down()
    return has_run


def _make(network: Network, port: int, comet_binary: str) -> None:
    if network.root.exists() and any(network.root.iterdir()):
        raise UsageError(f"{network.root} has something else in it", hint="name a directory that is not there yet")
    found = shutil.which(comet_binary)
    if found is None:
        raise UsageError(
            f"there is no CometBFT called {comet_binary!r} here", hint=f"{HOW_TO_BUILD}; or name it: --comet-binary"
        )
    _check_ports(port)
    network.create(Plan(1, "software", CHAIN_ID, port, str(Path(found).absolute())), PARAMETERS)
    network.up()
    identities = {}
    for name in PEOPLE:
        network.say(f"{name}: a home, and an identity on the ledger")
        identities[name] = enrol(network, name)
    for name in PEOPLE:
        for other in PEOPLE:
            if other != name:
                network.dta(["contacts", "add", other, identities[other]], home=network.client_home(name))
    write_file(network.root / _READY_FILE, json.dumps(identities).encode("ascii"))


def _found(network: Network) -> Development:
    identities = json.loads((network.root / _READY_FILE).read_bytes())
    people = {
        name: Person(network.client_home(name), identity, agents.of(network, name))
        for name, identity in identities.items()
    }
    return Development(
        network.root, network.root / "genesis.json", network.home(_NODE), network.rpc_url(_NODE),
        network.door_url(_NODE), people,
    )  # fmt: skip


def _is_made(network: Network) -> bool:
    return (network.root / _READY_FILE).exists()


def _begin_anew_where_half_made(network: Network) -> None:
    """Nobody has worked with what was broken off while it was made."""
    if network.exists and not _is_made(network):
        _check_is_ours(network)
        _delete(network)


def _check_is_ours(network: Network) -> None:
    if network.plan.chain_id != CHAIN_ID:
        raise UsageError(f"{network.root} is a localnet, and not one of `dta dev`", hint="see scripts/localnet.sh")


def _delete(network: Network) -> None:
    for name in PEOPLE:
        agents.stop(network, name)
    if (network.home(_NODE) / "node.toml").exists():  # else nothing of it has ever run
        network.down()
    shutil.rmtree(network.root)


def _check_ports(first: int) -> None:
    for port in range(first, first + PORTS):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError as error:
                said = f"port {port} is taken: {error.strerror}"
                raise UsageError(said, hint="--port names the first of three others") from None
