"""Nothing of our processes' memory gets to a disk: SIGABRT, which asks for a core dump, leaves none."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_hooks_agent import node_config

from dta.base.config import write_node_config
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
# What a careless operator's shell may have set.
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def start(command: Sequence[str], directory: Path, fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """The program in ``directory``, where a core file would be put, with dumps allowed."""
    return subprocess.Popen(
        [sys.executable, *command], cwd=directory, pass_fds=fds, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, UNLIMITED),
    )  # fmt: skip


def wait_for(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def allows_no_core(pid: int) -> bool:
    (line,) = [one for one in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file size" in one]
    return line.split()[4:6] == ["0", "0"]


def dumps_when_aborted(process: subprocess.Popen[bytes]) -> bool:
    """Whether the kernel wrote a core dump when the process was sent SIGABRT."""
    process.send_signal(signal.SIGABRT)
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    process.wait()
    assert found.si_status == signal.SIGABRT
    return found.si_code == os.CLD_DUMPED


@pytest.fixture(autouse=True)
def _may_be_unlimited() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY and os.geteuid():
        pytest.skip("this shell allows no core dumps, and its limit can't be raised")


def test_this_machine_would_dump_a_process_that_does_not_object(tmp_path: Path) -> None:
    """Else the tests below would show nothing."""
    process = start(["-c", "import os, time; print(flush=True); os.write(1, b'x'); time.sleep(600)"], tmp_path)
    wait_for(lambda: not allows_no_core(process.pid))
    time.sleep(0.2)
    if not dumps_when_aborted(process):
        pytest.skip(f"this machine dumps nothing: {Path('/proc/sys/kernel/core_pattern').read_text().strip()}")


def test_the_agent_leaves_no_core(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = replace(node_config(home), gateway_bind=free.getsockname()[:2])
    write_node_config(config)
    process = start(["-m", "dta.node.agent.main", "--home", str(home)], here)
    wait_for(config.status_file.exists)
    assert allows_no_core(process.pid)
    assert not dumps_when_aborted(process)
    assert list(here.iterdir()) == []


def test_the_application_leaves_no_core(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    abci, state = home / "abci.sock", home / "state.sock"
    process = start(
        ["-m", "abci_app.server", "--home", str(home), "--abci", f"unix://{abci}", "--state-socket", str(state)], here
    )
    wait_for(state.exists)
    assert allows_no_core(process.pid)
    assert not dumps_when_aborted(process)
    assert list(here.iterdir()) == []


def test_the_command_line_leaves_no_core_while_it_waits_for_a_passphrase(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    never, writer = os.pipe()
    command = ["-m", "dta", "--home", str(home), "--pin-fd", str(never), "hsm", "init", "--path", str(home / "keys")]
    process = start(command, here, [never])
    wait_for(lambda: allows_no_core(process.pid))
    time.sleep(0.2)
    assert not dumps_when_aborted(process)
    os.close(writer)
    os.close(never)
    assert list(here.iterdir()) == []


def test_what_a_hardened_process_starts_leaves_no_core_either(tmp_path: Path) -> None:
    """As a node's supervisor starts CometBFT, which has the consensus key, and Kubo."""
    program = (
        "import subprocess, sys; from dta.base.hardening import harden; harden();"
        "child = subprocess.run([sys.executable, '-c', 'import os; os.abort()']);"
        "sys.exit(child.returncode != -6)"
    )
    assert start(["-c", program], tmp_path).wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_debugger_of_the_same_user_gets_at_nothing() -> None:
    get_dumpable = 3
    for module in ("dta.base.hardening", "abci_app.server.hardening"):
        code = f"import ctypes; from {module} import harden; harden(); print(ctypes.CDLL(None).prctl({get_dumpable}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=PATIENCE_S)
        assert done.stdout == b"0\n"
