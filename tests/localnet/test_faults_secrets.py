"""No secret, PIN, share or key stands in clear: in no argument, environment, log (at debug level) or file."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import order_record, wait_until_all_are_healthy, wait_until_fulfilled
from tests.localnet.forensics import files_with, helped_by_all, spellings

pytestmark = pytest.mark.localnet
TALKATIVE = 2


class Watcher:
    """Reads the arguments and the environment of every process of this machine, again and again."""

    def __init__(self, needles: dict[str, bytes]) -> None:
        self._needles = [(what, spelling) for what, value in needles.items() for spelling in spellings(value)]
        self.seen: set[int] = set()
        self.found: set[str] = set()

    def look(self) -> None:
        for process in Path("/proc").iterdir():
            # This very process has made the secrets, and passes none of them on.
            if process.name.isdigit() and int(process.name) != os.getpid():
                self._look_at(process)

    def _look_at(self, process: Path) -> None:
        for name in ("cmdline", "environ"):
            try:
                content = (process / name).read_bytes()
            except OSError:
                continue
            self.seen.add(int(process.name))
            self.found |= {f"{process.name} {name}: {what}" for what, spelt in self._needles if spelt in content}

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.1):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.look()


def test_no_secret_pin_share_or_key_is_anywhere_in_clear(net: WiredNetwork, people: People) -> None:
    secret = secrets.token_bytes(48)
    pin_files = [path for path in (net.root / "pins").iterdir() if path.is_file()]
    pins = {f"the PIN of {path.name}": path.read_bytes().strip() for path in pin_files}
    net.restart(TALKATIVE, DTA_DEBUG="1", CMT_LOG_LEVEL="debug")
    logs = net.home(TALKATIVE) / "logs"
    sizes = {path: path.stat().st_size for path in logs.glob("*.log")}
    try:
        wait_until_all_are_healthy(net)
        watcher = Watcher({**pins, "the secret": secret})
        with watcher.watching():
            order = people.place_file(secret)
            wait_until_fulfilled(net, order)
            request = people.by("bob", "order", "request", order)["request"]
            assert people.receive_file(request) == secret
        nodes = {net.child_pid(node, name) for node in net.nodes() for name in ("application", "agent", "cometbft")}
        assert nodes <= watcher.seen
        assert len(watcher.seen) > len(nodes) + net.plan.validators, "commands were seen, too"
        assert watcher.found == set()
        said = {path.name: path.read_bytes()[sizes.get(path, 0) :] for path in logs.glob("*.log")}
        assert b" DEBUG " in said["agent.log"]
        assert b"\nD[" in said["cometbft.log"]
    finally:
        net.restart(TALKATIVE)

    record = order_record(net, order)
    [block] = [path for path in (net.home(0) / "blocks" / "blocks").rglob(record.envelope_cid) if path.is_file()]
    opened = helped_by_all(net, record, block)
    assert bytes.fromhex(opened["secret"]) == secret, "these are the order's shares and keys"
    needles = {**pins, "the secret": secret}
    needles |= {f"a {what[:-1]}": bytes.fromhex(value) for what in ("shares", "seeds") for value in opened[what]}
    assert files_with([net.root], needles, but=pin_files) == []
    wait_until_all_are_healthy(net)


def test_no_process_of_a_node_may_leave_a_core(net: WiredNetwork) -> None:
    """tests/unit/test_hygiene_memory.py sends SIGABRT to each kind."""
    for node in net.nodes():
        pids = {name: net.child_pid(node, name) for name in ("application", "agent", "cometbft")}
        for name, pid in {**pids, "supervisor": net.pid(node)}.items():
            limits = Path(f"/proc/{pid}/limits").read_text()
            [core] = [line for line in limits.splitlines() if "core file size" in line]
            assert core.split()[4:6] == ["0", "0"], f"{name} of node {node}"
