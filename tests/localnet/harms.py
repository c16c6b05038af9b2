"""How each thing that networks.py names is done to a node, and mended. A context manager: mended at its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from dta.hsm import softhsm
from dta.localnet.chaos import Orders
from dta.localnet.network import Network
from tests.localnet.conftest import WiredNetwork
from tests.localnet.faults import kill, token_directory, wait_until, wait_until_all_are_healthy
from tests.localnet.networks import CUT, HALTS, KILLS, TOKENS, Scenario, Step
from tests.support.disk import fill, mount_small_disk, unmount

SKEWED: Final = Path(__file__).parent / "skewed"
DISK_MIB: Final = 512
Inflict: TypeAlias = Callable[[WiredNetwork, int], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Harm:
    """``said``: what the node calls it meanwhile, a regular expression; empty where it may as well say nothing."""

    inflict: Inflict
    said: str = ""


def killed(victim: str) -> Inflict:
    """kill -9 of one process, which is started again by its supervisor; or of all, and then by us at the end."""

    @contextmanager
    def inflict(net: WiredNetwork, node: int) -> Iterator[None]:
        kill(net, node, victim)
        try:
            yield
        finally:
            if victim == "node":
                wait_until(f"node {node} to have gone", lambda: net.pid(node) is None)
                net.start(node)

    return inflict


def halted(process: str) -> Inflict:
    """It gets no time of the processor, and is behind all that it follows when it goes on."""

    @contextmanager
    def inflict(net: WiredNetwork, node: int) -> Iterator[None]:
        assert net.send_signal(node, process, signal.SIGSTOP)
        try:
            yield
        finally:
            assert net.send_signal(node, process, signal.SIGCONT), "its supervisor has not replaced it"

    return inflict


@contextmanager
def stopped(net: WiredNetwork, node: int) -> Iterator[None]:
    """In order, as by an operator."""
    net.stop(node)
    try:
        yield
    finally:
        net.start(node)


def skewed(offset_s: int) -> Inflict:
    """The clock of the node's own processes is wrong: the agent's, by which it judges the age of what it sees."""

    @contextmanager
    def inflict(net: WiredNetwork, node: int) -> Iterator[None]:
        net.restart(node, PYTHONPATH=str(SKEWED), DTA_TEST_CLOCK_OFFSET_S=str(offset_s))
        try:
            yield
        finally:
            net.restart(node)

    return inflict


# --- disks ----------------------------------------------------------------------------------------------------------
@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """``directory`` on a small file system of its own while this lasts; its contents survive both ways."""
    aside = directory.with_name(directory.name + ".aside")
    directory.rename(aside)
    directory.mkdir(mode=0o700)
    try:
        mount_small_disk(directory, DISK_MIB)
    except BaseException:
        directory.rmdir()
        aside.rename(directory)
        raise
    try:
        shutil.copytree(
            aside, directory, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns("*.sock")
        )
        yield
    finally:
        back = directory.with_name(directory.name + ".back")
        shutil.copytree(directory, back, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "filler"))
        unmount(directory)
        directory.rmdir()
        back.rename(directory)
        shutil.rmtree(aside)


@contextmanager
def full(net: WiredNetwork, node: int) -> Iterator[None]:
    """Its home is on a disk that fills up while it works, and has room again at the end."""
    net.stop(node)
    filler = net.home(node) / "filler"
    with small_disk(net.home(node)):
        net.start(node)
        wait_until(f"node {node} to be at work", lambda: net.height(node))
        fill(filler)
        try:
            yield
        finally:
            filler.unlink()
            net.stop(node)
    net.start(node)


@contextmanager
def without_state(net: WiredNetwork, node: int) -> Iterator[None]:
    """What the application has is gone: CometBFT replays every block."""
    net.stop(node)
    state = net.home(node) / "state"
    state.rename(state.with_name(f"state.lost-{time.monotonic_ns()}"))
    net.start(node)
    yield


@contextmanager
def without_blocks(net: WiredNetwork, node: int) -> Iterator[None]:
    """Every block of its store is gone: the others have them."""
    for path in (net.home(node) / "blocks" / "blocks").rglob("*"):
        if path.is_file():
            path.unlink()
    yield


def can_mount(directory: Path) -> bool:
    """Whether a small file system can be mounted here: it takes root and the right to mount."""
    if os.geteuid():
        return False
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(directory)], capture_output=True, check=False)
    if not done.returncode:
        unmount(directory)
    return not done.returncode


# --- tokens ---------------------------------------------------------------------------------------------------------
@contextmanager
def module_gone(net: WiredNetwork, node: int) -> Iterator[None]:
    """The PKCS#11 module is not where the settings say, until it is: from then on they name a link to it."""
    settings = net.home(node) / "node.toml"
    link = net.root / f"module-{node}.so"
    link.unlink(missing_ok=True)
    settings.write_text(re.sub(r'^module = ".*"$', f'module = "{link}"', settings.read_text(), flags=re.MULTILINE))
    module = softhsm.find_module()
    assert module is not None
    kill(net, node, "agent")  # it reads its settings when it starts
    try:
        yield
    finally:
        link.symlink_to(module)


@contextmanager
def wrong_pin(net: WiredNetwork, node: int) -> Iterator[None]:
    """Its PIN file has another one, as after a change that was made at the token alone."""
    pin_file = net.root / "pins" / f"node-{node}"
    pin = pin_file.read_bytes()
    pin_file.write_bytes(b"00000000\n")
    kill(net, node, "agent")
    try:
        yield
    finally:
        pin_file.write_bytes(pin)


@contextmanager
def unplugged(net: WiredNetwork, node: int) -> Iterator[None]:
    """The token goes away while it is used."""
    there = token_directory(net, f"node-{node}")
    away = net.root / f"unplugged-{node}"
    there.rename(away)
    try:
        yield
    finally:
        away.rename(there)


@contextmanager
def hanging(net: WiredNetwork, node: int) -> Iterator[None]:
    """SoftHSM2 reads a file at every call: a FIFO that nobody writes to makes it wait, inside the module."""
    token = token_directory(net, f"node-{node}")
    generation, kept = token / "generation", token / "generation.kept"
    generation.rename(kept)
    os.mkfifo(generation)
    kill(net, node, "agent")
    try:
        yield
    finally:
        kept.rename(generation)
        kill(net, node, "agent")


HARMS: Final[Mapping[str, Harm]] = {
    **{name: Harm(killed(name.removeprefix("kill-"))) for name in KILLS},
    **{name: Harm(halted(name.removeprefix("halt-"))) for name in HALTS},
    "stop": Harm(stopped),
    "clock-fast": Harm(skewed(600), "the last block is 6"),
    "clock-slow": Harm(skewed(-600), "ahead of this machine's clock"),
    "clock-a-little-fast": Harm(skewed(20)),
    "clock-a-little-slow": Harm(skewed(-20)),
    "disk-full": Harm(full, "MiB are free"),
    "state-lost": Harm(without_state),
    "blocks-lost": Harm(without_blocks),
    "hsm-module-gone": Harm(module_gone, r"module-\d\.so"),
    "hsm-wrong-pin": Harm(wrong_pin, "PIN"),
    "hsm-unplugged": Harm(unplugged, "keystore|hooks|late|token"),
    "hsm-hangs": Harm(hanging, "does not answer"),
}
"""All but the cables', which are the network's: ``net.links.parted``."""


def inflicted(net: WiredNetwork, step: Step) -> AbstractContextManager[None]:
    """What is done, and at the end mended."""
    if step.harm == CUT:
        return net.links.parted(set(step.nodes))
    [node] = step.nodes
    return HARMS[step.harm].inflict(net, node)


def impossible(net: Network) -> set[str]:
    """What can't be done on this machine, or to this network."""
    found = set() if can_mount(net.root) else {"disk-full"}
    return found if net.plan.hsm == "softhsm" else found | set(TOKENS)


def play(net: WiredNetwork, scenario: Scenario, orders: Orders) -> None:
    """From the first order that is kept on: each step at its time, or as soon after it as the ones before let it.

    At the end all is mended and every node is healthy, also where something failed.
    """
    wait_until("an order that is kept", lambda: orders.waiting or orders.received)
    started_s = time.monotonic()
    under_way: dict[Step, AbstractContextManager[None]] = {}
    try:
        for step, begins in scenario.moments():
            at_s = step.at_s if begins else step.until_s
            time.sleep(max(0.0, started_s + at_s - time.monotonic()))
            if begins:
                under_way[step] = harm = inflicted(net, step)
                harm.__enter__()
            else:
                under_way.pop(step).__exit__(None, None, None)
    finally:
        for harm in reversed(under_way.values()):
            harm.__exit__(None, None, None)
    wait_until_all_are_healthy(net)
