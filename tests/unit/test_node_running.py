"""Whether a home's node runs is what the kernel says of a lock, and no number in a file."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from dta.base.config import NodeConfig, write_node_config
from dta.base.errors import TimedOut, UsageError
from dta.base.keystore_config import KeystoreConfig
from dta.node import running
from dta.node.supervisor import _die_with_parent
from tests.support.disk import fill, mount_read_only, mount_small_disk, remount, unmount, use_up_inodes

ROOT = Path(__file__).resolve().parents[2]
HOLDS = """
import signal, subprocess, sys, time
from pathlib import Path
from dta.base.config import load_node_config
from dta.node.running import locked
with locked(load_node_config(Path(sys.argv[1]))):
    child = subprocess.Popen(["sleep", "600"]) if "child" in sys.argv else None
    if "deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(child.pid if child else 0, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    keystore = KeystoreConfig("software", path=tmp_path / "keys")
    made = NodeConfig(tmp_path, "chain", bytes(32), keystore, "http://127.0.0.1:1", ("127.0.0.1", 1))
    write_node_config(made)
    made.run_dir.mkdir()
    return made


@contextmanager
def held(config: NodeConfig, *how: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has the lock of ``config``'s home, and a child of its where ``how`` says so."""
    command = [sys.executable, "-c", HOLDS, str(config.home), *how]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process, child
        finally:
            process.kill()
            if child:
                os.kill(child, signal.SIGKILL)


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing, gone at the end whatever the test found."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_lock_s_holder_runs_and_whoever_ends_runs_no_more_however_it_ended(config: NodeConfig) -> None:
    assert running.holder(config) is None
    for number in (signal.SIGTERM, signal.SIGKILL):
        with held(config) as (process, _):
            assert running.holder(config) == process.pid
            assert running.is_running(config)
            process.send_signal(number)
            process.wait()
            assert running.holder(config) is None


def test_a_node_is_seen_to_run_in_a_home_that_can_not_be_written(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(config) as (process, _):
        really = os.open

        def read_only(path: os.PathLike[str], flags: int, mode: int = 0o777) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return really(path, flags, mode)

        monkeypatch.setattr(os, "open", read_only)
        assert running.holder(config) == process.pid


def test_a_second_supervisor_is_refused_and_takes_nothing_from_the_first(config: NodeConfig) -> None:
    with held(config) as (process, _):
        with pytest.raises(UsageError, match="running already"), running.locked(config):
            pass
        assert running.holder(config) == process.pid


def test_children_that_outlive_a_supervisor_do_not_keep_the_next_from_starting(config: NodeConfig) -> None:
    with held(config, "child") as (process, child):
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        assert running.holder(config) is None
        with held(config) as (second, _):
            assert running.holder(config) == second.pid


@pytest.mark.parametrize("name", ["node.lock", "node.pid"])
def test_a_number_that_a_killed_node_left_names_nobody(config: NodeConfig, name: str) -> None:
    # A container's supervisor has the same pid each time, and this process is a dta by its command line.
    (config.run_dir / name).write_text(f"{os.getpid()}\n")
    assert not running.is_running(config)
    with held(config) as (process, _):
        assert running.holder(config) == process.pid


def test_stopping_waits_until_the_node_has_stopped(config: NodeConfig) -> None:
    assert running.stop(config, 1.0) is False
    with held(config) as (process, _):
        assert running.stop(config, 30.0) is True
        assert process.wait() == -signal.SIGTERM
    with held(config, "deaf"), pytest.raises(TimedOut):
        running.stop(config, 0.2)


def test_a_process_that_is_not_the_right_one_any_more_gets_no_signal(config: NodeConfig) -> None:
    with sleeping() as other:
        assert running.send(other.pid, signal.SIGTERM, lambda: False) is False
        assert other.poll() is None
        assert running.send(other.pid, signal.SIGKILL, lambda: True) is True
        assert other.wait() == -signal.SIGKILL
    assert running.send(other.pid, signal.SIGTERM, lambda: True) is False


def test_only_a_child_that_lives_is_a_child() -> None:
    with sleeping() as child:
        assert running.is_child(child.pid, os.getpid())
        assert not running.is_child(child.pid, os.getppid())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not running.is_child(child.pid, os.getpid())  # a zombie
    for nothing in (None, "1", 0, -1, child.pid):
        assert not running.is_child(nothing, os.getpid())


def test_no_runbook_signals_a_process_by_its_number() -> None:
    pages = list((ROOT / "docs/runbooks").glob("*.md"))
    assert pages
    signals = re.compile(r"\bpids?\b|\bkill\b|\bSIG(?:TERM|KILL|INT)\b")
    assert not [page.name for page in pages if signals.search(page.read_text())]


def test_a_disk_that_takes_no_writes_says_which_and_why(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    data = config.comet_home / "data"
    data.mkdir(parents=True)
    before = sorted(config.home.rglob("*"))
    assert running.write_trouble(config.home) == ""
    assert sorted(config.home.rglob("*")) == before  # what was tried is gone
    refused = {"dir": data, "errno": 0}
    real = tempfile.TemporaryFile

    def refuse(dir: Path, prefix: str) -> object:
        if dir == refused["dir"]:
            raise OSError(refused["errno"], os.strerror(int(str(refused["errno"]))))
        return real(dir=dir, prefix=prefix)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    for number in (errno.EROFS, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EACCES):
        refused["errno"] = number
        assert running.write_trouble(config.home) == f"nothing can be written in {data}: {os.strerror(number)}"


def test_a_node_on_a_disk_that_became_read_only_is_seen_to_run(config: NodeConfig, tmp_path: Path) -> None:
    read_only = tmp_path / "read-only"
    read_only.mkdir()
    mount_read_only(config.run_dir, read_only)
    try:
        with held(config) as (process, _):
            (config.home / "elsewhere").mkdir()
            (config.home / "elsewhere/run").symlink_to(read_only)
            assert running.holder(replace(config, home=config.home / "elsewhere")) == process.pid
    finally:
        unmount(read_only)


def test_a_real_disk_that_is_full_without_inodes_or_read_only_is_told_apart(config: NodeConfig) -> None:
    state = config.home / "state"
    state.mkdir()
    mount_small_disk(state, 1)
    try:
        assert running.write_trouble(config.home) == ""
        assert running.lack_of_room(state, running.Room(1 << 19, 64)) == ""
        assert running.lack_of_room(state, running.STOP_BELOW) == "1 MiB are free"
        fill(state / "filler")
        assert running.write_trouble(config.home) == f"nothing can be written in {state}: No space left on device"
        (state / "filler").unlink()
        use_up_inodes(state)
        assert running.write_trouble(config.home) == f"nothing can be written in {state}: No space left on device"
        assert running.lack_of_room(state, running.Room(1 << 19, 64)) == "0 inodes are free"
        remount(state, "nr_inodes=0")  # as a file system that makes them as it goes
        assert running.lack_of_room(state, running.Room(1 << 19, 64)) == ""
        assert running.write_trouble(config.home) == ""
        remount(state, "ro")
        assert running.write_trouble(config.home) == f"nothing can be written in {state}: Read-only file system"
    finally:
        unmount(state)


@pytest.mark.parametrize(
    ("blocks", "inodes", "said"),
    [
        (16_384, 64, ""), (16_383, 64, "63 MiB are free"), (16_384, 63, "63 inodes are free"),
        (1, 1, "0 MiB are free"),
    ],
)  # fmt: skip
def test_room_is_what_is_free_to_the_byte_and_the_inode(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, blocks: int, inodes: int, said: str
) -> None:
    place = SimpleNamespace(f_bavail=blocks, f_frsize=4_096, f_files=1_000, f_favail=inodes)
    monkeypatch.setattr(running.os, "statvfs", lambda _: place)
    assert running.lack_of_room(config.home, running.STOP_BELOW) == said


def test_a_child_whose_supervisor_was_killed_before_it_could_ask_to_go_with_it_goes() -> None:
    for parent, code in ((os.getpid(), 0), (os.getppid(), 1)):
        done = subprocess.run([sys.executable, "-c", ""], preexec_fn=partial(_die_with_parent, parent), check=False)
        assert done.returncode == code


def test_a_lock_that_can_not_be_looked_at_is_no_node_that_does_not_run(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    assert running.holder(config) is None
    monkeypatch.setattr(running.os, "open", refused)
    with pytest.raises(PermissionError):
        running.stop(config, 1.0)
