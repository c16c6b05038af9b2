"""Logs are exchanged while processes write them, and what CometBFT says of its consensus in them is acted on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from founding_harness import consortium
from test_join import join_into

from dta.base.config import NodeConfig, load_node_config
from dta.base.home import Home
from dta.node import supervisor
from dta.node.logs import ChildLog, consensus_failure

PLAIN = (
    b'E[2026-11-30|06:20:00.123] CONSENSUS FAILURE!!!                          module=consensus '
    b'err="failed to sign: open x: read-only file system" stack="goroutine 1 [running]:\\nmain"'
)
AS_JSON = b'{"_msg":"CONSENSUS FAILURE!!!","err":"no space left on device","level":"error","module":"consensus"}'


def run_into(log: ChildLog, *programs: str) -> None:
    """Each program as a child whose output goes into ``log``, one after another."""

    async def run() -> None:
        for program in programs:
            sink = log.open()
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=sink, stderr=sink)
            os.close(sink)
            assert await child.wait() == 0
        log.close()

    asyncio.run(run())


def test_a_log_is_exchanged_while_one_process_writes_it(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "agent.log", max_bytes=1 << 20)
    run_into(log, "import sys\nfor n in range(100_000): print(n, 'x' * 30, flush=n % 50 == 0)")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["agent.log", "agent.log.1"]
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert all(size <= 1 << 20 for size in sizes)
    lines = (tmp_path / "agent.log").read_text().splitlines()
    assert lines[-1].startswith("99999 ")
    before = (tmp_path / "agent.log.1").read_bytes() + (tmp_path / "agent.log").read_bytes()
    numbers = [int(line.split()[0]) for line in before.decode().splitlines()[1:]]
    assert numbers == list(range(numbers[0], 100_000))  # nothing was lost between the two


def test_a_log_goes_on_over_restarts_and_one_that_was_too_large_already_is_exchanged(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "agent.log", max_bytes=100)
    run_into(log, "print('one')", "print('two')")
    assert (tmp_path / "agent.log").read_text() == "one\ntwo\n"
    (tmp_path / "agent.log").write_text("y" * 101)
    run_into(log, "print('three')")
    assert (tmp_path / "agent.log").read_text() == "three\n"
    assert (tmp_path / "agent.log.1").read_text() == "y" * 101


def test_a_log_that_can_t_be_written_holds_no_child_up_and_says_later_what_was_lost(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    log = ChildLog(directory / "agent.log")
    run_into(log, "print('z' * 1_000_000)")
    directory.mkdir()
    run_into(log, "print('back')")
    assert (directory / "agent.log").read_text() == "dta: 1000001 bytes found no room here\nback\n"


def test_lines_are_seen_whole_however_they_come(tmp_path: Path) -> None:
    seen: list[bytes] = []
    program = """
import sys, time
for part in ("a", "b\\nc\\n", "d" * 20_000 + "\\n", "e\\n"):
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.02)
"""
    run_into(ChildLog(tmp_path / "x.log", seen.append), program)
    assert [line[:3] for line in seen] == [b"ab", b"c", b"ddd", b"e"]
    assert max(map(len, seen)) <= 8_192


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (PLAIN, "failed to sign: open x: read-only file system"),
        (AS_JSON, "no space left on device"),
        (b"E[2026-11-30|06:20:00.123] CONSENSUS FAILURE!!! module=consensus", "it does not say why"),
        (b'E[2026-11-30|06:20:00.123] CONSENSUS FAILURE!!! err="a\\x1b[2J" x=1', "a\\x1b[2J"),
        # What a peer calls itself, or sends, is no failure of ours.
        (b'I[2026-11-30|06:20:00.123] Added peer moniker="CONSENSUS FAILURE!!! err=x"', ""),
        (b'I[2026-11-30|06:20:00.123] peer E[2026-11-30|06:20:00.123] CONSENSUS FAILURE!!! err=x', ""),
        (b'{"_msg":"Added peer","moniker":"CONSENSUS FAILURE!!!"}', ""),
    ],
)
def test_the_end_of_consensus_is_read_at_the_start_of_its_line_alone(line: bytes, reason: str) -> None:
    assert consensus_failure(line) == reason


FAILS_ONCE = f"""
import pathlib, sys, time
mark = pathlib.Path(sys.argv[-1]) / "failed"
if not mark.exists():
    mark.touch()
    print({PLAIN.decode()!r}, flush=True)
time.sleep(600)
"""
LISTENS = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\nwhile 1: s.accept()"


def node_with(tmp_path: Path, comet: str) -> tuple[supervisor.Supervisor, NodeConfig]:
    (tmp_path / "founders").mkdir()
    join_into(Home(tmp_path / "n"), consortium(tmp_path / "founders", 1))
    program = tmp_path / "comet"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$(cat {tmp_path}/comet.py)" {tmp_path}\n')
    program.chmod(0o700)
    (tmp_path / "comet.py").write_text(comet)
    config = replace(load_node_config(tmp_path / "n"), comet_binary=str(program))
    node = supervisor.Supervisor(config)
    node.application.command = [
        sys.executable, "-c", "import os, sys\nif os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])\n" + LISTENS,
        str(config.abci_socket),
    ]  # fmt: skip
    node.agent.command = ["sleep", "600"]
    return node, config


def test_a_cometbft_whose_consensus_ended_is_started_again_and_the_status_names_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node, config = node_with(tmp_path, FAILS_ONCE)
    file = config.run_dir / "supervisor.json"

    async def run() -> dict[str, object]:
        running = asyncio.create_task(node.run())
        while True:
            await asyncio.sleep(0.05)
            said = json.loads(file.read_text())["cometbft"] if file.exists() else {}
            if said.get("restarts") == 1 and said.get("pid") and said.get("fault"):
                node._ask_to_stop()
                await running
                return said
            assert not running.done()

    said = asyncio.run(asyncio.wait_for(run(), 60))
    assert said["fault"] == "its consensus ended: failed to sign: open x: read-only file system"
    assert "CometBFT runs, but its consensus ended" in capfd.readouterr().err
    assert PLAIN in (config.log_dir / "cometbft.log").read_bytes()


def test_a_disk_that_takes_no_writes_stops_the_node_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    node, _ = node_with(tmp_path, "import time; time.sleep(600)")
    trouble = {"now": ""}
    monkeypatch.setattr(supervisor, "write_trouble", lambda _: trouble["now"])
    monkeypatch.setattr(supervisor, "LOOK_AT_DISK_EVERY_S", 0.02)

    async def until(wanted: bool) -> None:
        while (node.comet.process is not None and node.comet.process.returncode is None) is not wanted:
            await asyncio.sleep(0.02)

    async def run() -> None:
        running = asyncio.create_task(node.run())
        await until(True)
        trouble["now"] = "nothing can be written in x: Read-only file system"
        await until(False)
        trouble["now"] = ""
        await until(True)
        node._ask_to_stop()
        await running

    asyncio.run(asyncio.wait_for(run(), 60))
    assert "Read-only file system: stopping until that is over" in capfd.readouterr().err


def test_a_fault_is_forgotten_once_its_child_has_run_for_a_while(tmp_path: Path) -> None:
    node, _ = node_with(tmp_path, "")
    child = supervisor.Child("cometbft", [], fault="x")
    with subprocess.Popen(["sleep", "600"]) as process:
        child.process = type("P", (), {"returncode": None, "pid": process.pid})()
        process.kill()
    child.started_at = float("inf")
    node._forget_old_fault(child)
    assert child.fault == "x"
    child.started_at = float("-inf")
    node._config.run_dir.mkdir(exist_ok=True)
    node._forget_old_fault(child)
    assert child.fault == ""
