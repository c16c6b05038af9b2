"""The application as a process: start, stop, the handshake on a real socket, crashes, a corrupt state."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.framing import FrameBuffer, frame
from abci_app.storage.kv import StoreInUse, StoreOfAnotherFormat
from abci_app.storage.leveldb import LevelDbStore
from tests.support.damage import log_records
from tests.support.patience import PATIENCE_S

PROGRAM = Path(__file__).with_name("server_process.py")
TIME = pb.Timestamp(seconds=1_800_000_000)
INFO = pb.Request(info=pb.InfoRequest(version="0.39.4", abci_version="2.0.0"))
INIT = pb.Request(init_chain=pb.InitChainRequest(initial_height=1, time=TIME, app_state_bytes=b"{}"))
COMMIT = pb.Request(commit=pb.CommitRequest())


def finalize(height: int, *txs: bytes) -> pb.Request:
    return pb.Request(finalize_block=pb.FinalizeBlockRequest(height=height, txs=txs, time=TIME))


class Process:
    """The application on ``home``. ``ask`` opens a connection, sends all requests at once and reads as many answers."""

    def __init__(self, home: Path, *more: str) -> None:
        self.home = home
        self.process: subprocess.Popen[str] | None = None
        self.arguments = ["--home", str(home), "--state-socket", str(home / "state.sock"), *more]

    def start(self, abci: str | None = None) -> subprocess.Popen[str]:
        abci = abci or f"unix://{self.home}/abci.sock"
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--abci", abci, *self.arguments], stderr=subprocess.PIPE, text=True
        )
        return self.process

    def ready(self) -> str:
        """Start and wait for the line that says so."""
        stderr = self.start().stderr
        assert stderr is not None
        lines = ""
        while "at height" not in lines:
            line = stderr.readline()
            assert line, lines
            lines += line
        return lines

    def ask(self, *requests: pb.Request) -> list[pb.Response]:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(self.home / "abci.sock"))
            peer.sendall(b"".join(frame(request.SerializeToString()) for request in requests))
            buffer = FrameBuffer()
            answers: list[bytes] = []
            while len(answers) < len(requests) and (data := peer.recv(65536)):
                buffer.feed(data)
                answers += buffer.take(64)
        return [pb.Response.FromString(answer) for answer in answers]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """(exit code, what is left on stderr)."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        assert self.process is not None
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    one = Process(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.communicate()


def test_it_serves_until_sigterm_and_leaves_no_socket(process: Process) -> None:
    process.ready()
    (info,) = process.ask(INFO)
    assert info.info.last_block_height == 0
    assert process.end() == (0, "")
    assert not (process.home / "abci.sock").exists()
    assert not (process.home / "state.sock").exists()


def test_it_serves_with_a_collector_that_looks_seldom_and_not_at_what_start_up_made(tmp_path: Path) -> None:
    said = """if True:
        import gc, sys
        from server_machine import CountingMempool, SettingMachine
        from abci_app.server import main

        def run(serving):
            serving.close()
            print(gc.get_threshold(), gc.get_freeze_count() > 10_000)

        main.asyncio.run = run
        main.main(SettingMachine(), CountingMempool(), sys.argv[1:])
    """
    arguments = ["--home", str(tmp_path), "--abci", "unix:///none", "--state-socket", str(tmp_path / "none")]
    done = subprocess.run(
        [sys.executable, "-c", said, *arguments], capture_output=True, text=True, check=True, cwd=PROGRAM.parent
    )
    assert done.stdout == "(50000, 20, 100) True\n"


def test_another_abci_version_is_told_which_is_wanted_here_and_on_stderr(process: Process) -> None:
    process.ready()
    (answer,) = process.ask(pb.Request(info=pb.InfoRequest(version="0.34.24", abci_version="0.17.0")))
    assert "2.x.y" in answer.exception.error
    _, errors = process.end()
    assert "2.x.y" in errors


def test_what_was_committed_survives_kill_9_and_what_was_not_does_not(process: Process) -> None:
    process.ready()
    answers = process.ask(INIT, finalize(1, b"a=1"), COMMIT, finalize(2, b"a=2"))
    process.end(signal.SIGKILL)
    process.ready()
    (info,) = process.ask(INFO)
    assert info.info.last_block_height == 1
    assert info.info.last_block_app_hash == answers[1].finalize_block.app_hash
    (again,) = process.ask(finalize(2, b"a=2"))
    assert again.finalize_block.app_hash == answers[3].finalize_block.app_hash


def test_an_exception_in_a_block_ends_the_process_without_an_answer(process: Process) -> None:
    process.ready()
    answers = process.ask(INIT, finalize(1, b"!"))
    assert len(answers) < 2
    code, errors = process.wait()
    assert code == 70
    assert "error: the application ends itself: ValueError" in errors
    assert "while answering finalize_block" in errors
    assert "hint:" in errors


def test_a_version_that_is_lacking_has_an_exit_code_of_its_own_soon_after_the_commit_and_at_every_start(
    process: Process,
) -> None:
    process.ready()
    assert len(process.ask(INIT, finalize(1, b"version=2"), COMMIT)) == 3
    for _ in range(2):
        code, errors = process.wait()
        assert code == 76
        assert "error: the chain is at protocol version 2; this binary does not have it" in errors
        assert "hint:" in errors
        assert "Traceback" not in errors
        process.ready()
        process.ask(INFO)


def test_a_state_found_corrupt_is_moved_aside_and_the_blocks_replayed_into_an_empty_one(process: Process) -> None:
    process.ready()
    blocks = (INIT, finalize(1, b"a=1"), COMMIT)
    before = process.ask(*blocks)
    process.end()
    (process.home / "state" / "CURRENT").write_bytes(b"nonsense\n")
    lines = process.ready()
    assert "state.corrupt-1" in lines
    assert "at height 0" in lines
    assert process.ask(*blocks)[1].finalize_block.app_hash == before[1].finalize_block.app_hash
    process.end()
    (process.home / "state-is-corrupt").touch()
    assert "state.corrupt-2" in process.ready()
    process.end()
    assert "moved" not in process.ready()


def test_a_leaf_that_differs_from_the_tree_ends_the_process_and_the_next_start_replays(process: Process) -> None:
    process.ready()
    blocks = (INIT, finalize(1, b"a=1"), COMMIT)
    before = process.ask(*blocks)
    process.end()
    store = LevelDbStore(process.home / "state")
    store.write([(b"la", b"2")], sync=True)
    store.close()
    process.start()
    code, errors = process.wait()
    assert code == 70
    assert f"error: the application ends itself: StoreCorrupt: leaf {b'a'.hex()} at height 1" in errors
    assert "while checking the state in the background" in errors
    assert "hint: start again" in errors
    assert "docs/runbooks/damaged-state.md" in errors
    lines = process.ready()
    assert "state.corrupt-1: the process before this one found it corrupt" in lines
    assert process.ask(*blocks)[1].finalize_block.app_hash == before[1].finalize_block.app_hash


def test_a_truncated_table_is_moved_aside_and_not_taken_for_another_application(process: Process) -> None:
    process.ready()
    process.ask(INIT, finalize(1, b"a=1"), COMMIT)
    process.end()
    LevelDbStore(process.home / "state").close()  # which makes a table of the log
    (table,) = (process.home / "state").glob("*.ldb")
    os.truncate(table, table.stat().st_size - 1)
    lines = process.ready()
    assert "state.corrupt-1: the table" in lines
    assert "another application" not in lines


def test_a_state_whose_last_block_is_lost_goes_on_from_the_one_before(process: Process) -> None:
    process.ready()
    answers = process.ask(INIT, finalize(1, b"a=1"), COMMIT, finalize(2, b"b=2"), COMMIT)
    process.end(signal.SIGKILL)
    (log,) = (process.home / "state").glob("*.log")
    os.truncate(log, log_records(log)[-2])
    assert "at height 1" in process.ready()
    again = process.ask(finalize(2, b"b=2"), COMMIT)
    assert again[0].finalize_block.app_hash == answers[3].finalize_block.app_hash


def test_a_state_of_another_format_is_refused_with_what_to_do(process: Process) -> None:
    process.ready()
    process.ask(INIT, finalize(1, b"a=1"), COMMIT)
    process.end()
    store = LevelDbStore(process.home / "state")
    store.write([(b"f", b"dta-state-1")], sync=True)
    store.close()
    process.start()
    code, errors = process.wait()
    assert code == 73
    assert "dta-state-1" in errors
    assert f"hint: {StoreOfAnotherFormat.hint}" in errors


def test_a_home_in_use_is_refused_with_a_hint(process: Process) -> None:
    process.ready()
    second = Process(process.home)
    second.start(f"unix://{process.home}/other.sock")
    code, errors = second.wait()
    assert code == 73
    assert errors.startswith("error: ")
    assert f"hint: {StoreInUse.hint}" in errors


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:26658", "unix://relative", "nonsense"])
def test_an_address_that_is_refused_is_a_usage_error(process: Process, address: str) -> None:
    process.start(address)
    code, errors = process.wait()
    assert code == 2
    assert "error: " in errors
    assert "hint: " in errors


def test_it_listens_on_a_loopback_port_too(process: Process) -> None:
    process.arguments += ["--max-message-bytes", "1000"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process.start(f"tcp://127.0.0.1:{port}")
    assert process.process is not None
    assert process.process.stderr is not None
    assert "at height 0" in process.process.stderr.readline()
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(frame(b"x" * 1001))
        assert peer.recv(100) == b""
    code, errors = process.end()
    assert code == 0
    assert "the cap is 1000" in errors
