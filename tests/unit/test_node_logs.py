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
from dta.http.logs import MAX_KEYS
from dta.node import supervisor
from dta.node.logs import MAX_LINE_BYTES, ChildLog, CometLines, consensus_failure
from dta.node.running import START_ABOVE, STOP_BELOW, Room
from tests.support.disk import little_room
from tests.support.patience import PATIENCE_S

# As CometBFT 0.39.4 wrote them when its sign-state's directory had gone, with shorter stacks
# (tests/localnet/test_comet_log.py has a real one write them).
PLAIN = (
    b"E[2026-11-30|07:54:15.158] CONSENSUS FAILURE!!!                         module=consensus "
    b'err="open /h/data/write-file-atomic-6625693701388259738: no such file or directory" '
    b'stack="goroutine 42 [running]:\\nruntime/debug.Stack()\\n\\truntime/debug/stack.go:26 +0x5e\\n"'
)
AS_JSON = (
    b'{"_msg":"CONSENSUS FAILURE!!!","err":"open /h/data/write-file-atomic-04155234779267746356: no space left on '
    b'device","level":"error","module":"consensus","stack":"goroutine 51 [running]:\\nruntime/debug.Stack()\\n",'
    b'"ts":"2026-11-30T07:54:41.770319Z"}'
)
REASON = "open /h/data/write-file-atomic-6625693701388259738: no such file or directory"


def plain(message: str, module: str, rest: str = "", level: str = "I") -> bytes:
    """A line of CometBFT's in its form ``plain``."""
    return f"{level}[2026-11-30|07:54:29.130] {message:<44} module={module} {rest}".encode()


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


def test_what_follows_a_line_of_which_a_part_found_room_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, left = ChildLog(tmp_path / "agent.log"), little_room(monkeypatch)
    for room_bytes in (20, 15):  # within the child's line; then within what is said of it
        left.room_bytes = room_bytes
        run_into(log, "print('one' * 10)")
    left.room_bytes = None
    run_into(log, "print('two', end='')", "print('three')")
    assert (tmp_path / "agent.log").read_text().splitlines() == [
        "oneoneoneoneoneoneon", "dta: 11 bytes ", "dta: 42 bytes found no room here", "two", "three",
    ]  # fmt: skip


def test_lines_are_seen_whole_however_they_come_and_what_is_shown_of_them_is_written(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def shown(line: bytes) -> bytes | None:
        seen.append(line)
        return None if line == b"c" else line[:4] + b"!"

    program = """
import sys, time
for part in ("a", "b\\nc\\n", "d" * 200_000 + "\\n", "e\\n", "no end"):
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.02)
"""
    run_into(ChildLog(tmp_path / "x.log", shown), program, "print('next')")
    assert [line[:6] for line in seen] == [b"ab", b"c", b"dddddd", b"e", b"no end", b"next"]
    assert max(map(len, seen)) == MAX_LINE_BYTES
    assert (tmp_path / "x.log").read_bytes() == b"ab!\ndddd!\ne!\nno e!\nnext!\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (PLAIN, REASON),
        (AS_JSON, "open /h/data/write-file-atomic-04155234779267746356: no space left on device"),
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


OF_A_STRANGER = [
    plain("New websocket connection", "rpc-server", "protocol=websocket remote=127.0.0.1:48060"),
    plain("service start", "rpc-server", 'remote=127.0.0.1:48060 msg="Starting wsConnection service"'),
    plain("Failed to read request", "rpc-server", 'err="websocket: bad MASK"', "E"),
    plain("WSJSONRPC", "rpc-server", f"method={'m' * 5_000}"),
    plain("Inbound Peer rejected", "p2p", 'err="auth failure: secret conn failed: EOF" numPeers=0'),
    plain("Unknown channel 7F", "p2p", "", "E"),
    b"2026/11/30 07:54:29 http: Accept error: accept tcp 127.0.0.1:26657: too many open files; retrying in 5ms",
    b'{"_msg":"Inbound Peer rejected","err":"auth failure","level":"info","module":"p2p","numPeers":0,"ts":"x"}',
    b"I[2026-11-30|07:54:29.130] a message without more",
]


@pytest.mark.parametrize("line", OF_A_STRANGER)
def test_what_a_stranger_makes_cometbft_say_is_one_counted_short_line_a_minute(line: bytes) -> None:
    clock = [0.0]
    lines = CometLines(lambda reason: None, lambda: clock[0])
    written = []
    for second in range(0, 121, 10):
        clock[0] = float(second)
        written.append(lines(line.replace(b"48060", b"%d" % second).replace(b"7F", b"%02X" % second)))
    first, *others = [one for one in written if one is not None]
    assert first[:40] == line[:40]
    assert len(others) == 2
    assert all(one.endswith(b" (and 5 more like it since the last such line)") for one in others)
    assert max(map(len, [first, *others])) < 600


def test_what_cometbft_says_of_each_block_and_the_end_of_its_consensus_is_written_every_time() -> None:
    reasons: list[str] = []
    lines = CometLines(reasons.append, lambda: 0.0)
    often = [plain("committed state", "state", f"height={height}") for height in range(9)]
    often += [plain("a detail", "p2p", f"n={n}", "D") for n in range(9)] + [PLAIN, PLAIN, AS_JSON]
    often += [b'{"_msg":"a detail","level":"debug","module":"p2p"}'] * 2
    assert [lines(line) for line in often] == often
    assert len(reasons) == 3


def test_a_line_in_no_form_of_cometbft_s_goes_the_way_of_the_line_before_it() -> None:
    lines = CometLines(lambda reason: None, lambda: 0.0)
    shown, trace = plain("Invalid evidence", "evidence", "", "E"), b"goroutine 1 [running]:"
    assert [lines(line) for line in (trace, shown, trace, shown, trace)] == [trace, shown, trace, None, None]


def test_messages_that_never_repeat_are_bounded_too() -> None:
    lines = CometLines(lambda reason: None, lambda: 0.0)
    written = [lines(plain("".join(chr(97 + int(digit)) for digit in str(n)), "p2p")) for n in range(5_000)]
    assert sum(line is not None for line in written) == MAX_KEYS + 1


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


def holder_by_another_process(config: NodeConfig) -> int:
    """This one would lose its lock by asking."""
    program = (
        "import sys; from pathlib import Path; from dta.base.config import load_node_config; "
        "from dta.node.running import holder; print(holder(load_node_config(Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(config.home)], capture_output=True, check=True)
    return int(done.stdout)


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
                assert holder_by_another_process(config) == os.getpid()
                node._ask_to_stop()
                await running
                return said
            assert not running.done()

    said = asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
    assert said["fault"] == f"its consensus ended: {REASON}"
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
        said = ""
        while "Read-only file system: waiting until that is over" not in said:
            said += capfd.readouterr().err
            await asyncio.sleep(0.02)
        assert "Read-only file system: stopping until that is over" in said
        trouble["now"] = ""
        await until(True)
        node._ask_to_stop()
        await running

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_disk_that_is_full_stops_the_node_until_there_is_more_room_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    node, _ = node_with(tmp_path, "import time; time.sleep(600)")
    free = {"inodes": START_ABOVE.inodes, "looks": 0}

    def lack(_: Path, wanted: Room) -> str:
        free["looks"] += 1
        return "few inodes are free" if free["inodes"] < wanted.inodes else ""

    monkeypatch.setattr(supervisor, "lack_of_room", lack)
    monkeypatch.setattr(supervisor, "LOOK_AT_DISK_EVERY_S", 0.02)

    def runs() -> bool:
        return node.comet.process is not None and node.comet.process.returncode is None

    async def looked_at(times: int) -> None:
        until = free["looks"] + times
        while free["looks"] < until:
            await asyncio.sleep(0.02)

    async def run() -> None:
        running = asyncio.create_task(node.run())
        while not runs():
            await asyncio.sleep(0.02)
        free["inodes"] = STOP_BELOW.inodes
        await looked_at(5)
        assert runs()
        free["inodes"] = STOP_BELOW.inodes - 1
        while runs():
            await asyncio.sleep(0.02)
        free["inodes"] = START_ABOVE.inodes - 1
        await looked_at(5)
        assert not runs()
        free["inodes"] = START_ABOVE.inodes
        while not runs():
            await asyncio.sleep(0.02)
        node._ask_to_stop()
        await running

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
    said = capfd.readouterr().err
    assert "the disk is full (few inodes are free): stopping until that is over" in said
    assert "the disk is full (few inodes are free): waiting until that is over" in said


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
