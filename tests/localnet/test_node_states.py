"""How a node says that it is well or not, and what it does about a damaged store and a full disk."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import same_app_hash, wait_until_fulfilled
from tests.localnet.harms import small_disk
from tests.localnet.own_network import eventually
from tests.localnet.runbook import Runbook
from tests.support.disk import fill, mount_read_only, remount, unmount, use_up_inodes

pytestmark = pytest.mark.localnet
HEALTHY, UNHEALTHY, NOT_RUNNING = 0, 1, 2
VICTIM = 3


def status(net: Network, node: int) -> int:
    """The exit code of ``dta status``."""
    return net.dta(["status"], home=net.home(node), accept=(HEALTHY, UNHEALTHY, NOT_RUNNING)).returncode


def said(net: Network, node: int, name: str) -> str:
    """A process's log."""
    return (net.home(node) / "logs" / f"{name}.log").read_text(errors="replace")


def all_fulfil(people: People) -> None:
    """An order that every fiduciary's hook fulfils: each of them works, to the end."""
    wait_until_fulfilled(people.net, people.place_file(secrets.token_bytes(40)))


def test_status_and_doctor_say_by_their_exit_codes_how_the_node_is(net: Network, people: People) -> None:
    for node in net.nodes():
        eventually(f"node {node} is healthy", lambda node=node: status(net, node) == HEALTHY)  # type: ignore[misc]
    checks = {check["name"]: check for check in net.dta_json(["doctor"], home=net.home(VICTIM))["checks"]}
    others = {f"gateway http://127.0.0.1:{net.gateway_port(node)}" for node in net.nodes() if node != VICTIM}
    wanted = {
        "disk", "CometBFT", "ABCI", "p2p port", "rpc port", "gateway port", "application", "peers", "catching up",
        "clock", "login", "signs", "PRF", "block store", "blocks", "state", "hooks",
    }  # fmt: skip
    assert wanted | others <= set(checks)
    assert {check["status"] for check in checks.values()} <= {"ok", "warning"}
    assert [check for check in checks.values() if check["status"] != "ok" and not check["advice"]] == []

    pin_file = net.root / "pins" / f"node-{VICTIM}"
    pin = pin_file.read_bytes()
    pin_file.write_bytes(b"not the PIN\n")
    pid = net.child_pid(VICTIM, "agent")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    before = net.height(VICTIM)
    try:
        eventually("its HSM is out of reach", lambda: "keystore" in trouble(net, VICTIM))
        assert status(net, VICTIM) == UNHEALTHY
        assert net.dta(["doctor"], home=net.home(VICTIM), accept=(1,)).returncode == 1
        net.wait_for_height(before + 2)  # consensus never notices
    finally:
        pin_file.write_bytes(pin)
    eventually("healthy again", lambda: status(net, VICTIM) == HEALTHY)

    net.stop(VICTIM)
    assert status(net, VICTIM) == NOT_RUNNING
    net.start(VICTIM)
    eventually("healthy after a start", lambda: status(net, VICTIM) == HEALTHY)


def trouble(net: Network, node: int) -> str:
    """What ``dta status`` calls trouble, for people."""
    done = net.dta(["status"], home=net.home(node), accept=(HEALTHY, UNHEALTHY, NOT_RUNNING))
    lines = (done.stdout + done.stderr).decode().splitlines()
    return " ".join(line for line in lines if line.startswith("trouble"))


def test_a_corrupt_store_is_moved_aside_and_made_again_by_replay(net: Network, people: People) -> None:
    net.stop(VICTIM)
    state = net.home(VICTIM) / "state"
    damaged = [path for path in state.iterdir() if path.suffix in (".log", ".ldb") and path.stat().st_size]
    assert damaged
    for path in damaged:
        content = bytearray(path.read_bytes())
        for position in range(0, len(content), 64):  # every block of it: one that nobody reads shows no damage
            content[position] ^= 0xFF
        path.write_bytes(content)
    net.start(VICTIM)
    net.wait_for_height(max(net.height(node) for node in net.nodes()))
    assert state.with_name("state.corrupt-1").is_dir()
    assert "CometBFT replays the blocks" in said(net, VICTIM, "application")
    same_app_hash(net)
    all_fulfil(people)


def test_a_backup_copied_over_the_state_is_found_by_the_blocks_that_are_missing(net: Network, people: People) -> None:
    """The older list of tables opens, the newest log follows it, and what was between them is gone."""
    state = net.home(VICTIM) / "state"
    aside = len(list(state.parent.glob("state.corrupt-*")))
    backup = state.with_name("backup")
    shutil.copytree(state, backup)
    net.wait_for_height(net.height(VICTIM) + 2)
    net.stop(VICTIM)
    net.start(VICTIM)  # LevelDB begins a new log
    net.wait_for_height(max(net.height(node) for node in net.nodes()) + 2)
    net.stop(VICTIM)
    shutil.copytree(backup, state, dirs_exist_ok=True)
    shutil.rmtree(backup)
    net.start(VICTIM)
    net.wait_for_height(max(net.height(node) for node in net.nodes()))
    assert state.with_name(f"state.corrupt-{aside + 1}").is_dir()
    assert "are missing; the head is" in said(net, VICTIM, "application")
    same_app_hash(net)
    all_fulfil(people)
    doctor = net.dta(["doctor"], home=net.home(VICTIM), accept=(0, 1))
    assert f"state.corrupt-{aside + 1}" in (doctor.stdout + doctor.stderr).decode()


def test_a_state_is_made_again_at_once_when_its_operator_says_so(net: Network, people: People) -> None:
    """docs/runbooks/damaged-state.md: the agent's proofs failed, and nobody wants to wait for the whole check."""
    home = net.home(VICTIM)
    aside = len(list(home.glob("state.corrupt-*")))
    page = Runbook(net, "damaged-state", DTA_HOME=str(home))
    page.run()
    assert not page.left
    moved = home / f"state.corrupt-{aside + 1}"
    eventually("the state moved aside", moved.is_dir)
    net.wait_for_height(max(net.height(node) for node in net.nodes()))
    same_app_hash(net)
    all_fulfil(people)


def test_a_full_disk_ends_the_processes_before_they_can_lie_and_room_starts_them(net: Network, people: People) -> None:
    net.stop(VICTIM)
    home = net.home(VICTIM)
    with small_disk(home):
        filler = home / "filler"
        net.start(VICTIM)
        net.wait_for_height(max(net.height(node) for node in net.nodes()))
        pids = [net.child_pid(VICTIM, name) for name in ("application", "cometbft", "agent")]
        assert None not in pids
        fill(filler)
        others = [node for node in net.nodes() if node != VICTIM]
        for name in ("carol", "dora"):  # blocks with something in them
            people.enrol(name)
        eventually("its processes ended", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        assert (status(net, VICTIM), net.height(VICTIM)) == (UNHEALTHY, 0)
        assert "MiB are free" in trouble(net, VICTIM)
        net.wait_for_height(max(net.height(node) for node in others) + 2, others)

        filler.unlink()
        net.wait_for_height(max(net.height(node) for node in others), timeout_s=180.0)
        same_app_hash(net)
        eventually("healthy again", lambda: status(net, VICTIM) == HEALTHY)
        all_fulfil(people)
        no_file_can_be_made(net)
        net.stop(VICTIM)
    net.start(VICTIM)
    eventually("healthy on its own disk", lambda: status(net, VICTIM) == HEALTHY)


def no_file_can_be_made(net: Network) -> None:
    """Inodes are used up. The directory of the sign-state, where CometBFT makes a file at each vote, is read-only."""
    home = net.home(VICTIM)
    use_up_inodes(home)
    stopped_until(net, "inodes are free", lambda: remount(home, "nr_inodes=0"))
    data = home / "cometbft/data"
    mount_read_only(data, data)
    stopped_until(net, f"nothing can be written in {data}: Read-only file system", lambda: unmount(data))


def stopped_until(net: Network, why: str, mend: Callable[[], None]) -> None:
    eventually(f"stopped: {why}", lambda: why in trouble(net, VICTIM) and net.child_pid(VICTIM, "agent") is None)
    mend()
    eventually(f"healthy again after: {why}", lambda: status(net, VICTIM) == HEALTHY)
