"""The process: where it listens, how it starts and stops, what it does with a corrupt state, how it dies."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
from server_harness import Died, die

from abci_app.server import checking
from abci_app.server.checking import Checker
from abci_app.server.listener import ListenRefused, TcpAddress, UnixAddress, bind, parse_address
from abci_app.server.pruning import Pruner
from abci_app.storage.kv import StoreCorrupt


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/dta/abci.sock", UnixAddress(Path("/run/dta/abci.sock"))),
        ("tcp://127.0.0.1:26658", TcpAddress("127.0.0.1", 26658)),
        ("tcp://127.9.9.9:0", TcpAddress("127.9.9.9", 0)),
        ("tcp://[::1]:26658", TcpAddress("::1", 26658)),
    ],
)
def test_a_unix_path_or_a_loopback_address_is_read(text: str, address: UnixAddress | TcpAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "tcp://0.0.0.0:26658",
        "tcp://192.168.1.4:26658",
        "tcp://[::]:26658",
        "tcp://example.org:26658",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "http://127.0.0.1:26658",
        "unix://relative/path",
        "unix:///" + "x" * 200,
        "",
        "tcp://",
    ],
)
def test_an_address_that_others_reach_or_that_is_none_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ListenRefused) as caught:
        parse_address(text)
    assert caught.value.hint


def test_a_unix_socket_is_for_its_owner_only_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(UnixAddress(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ListenRefused):
        bind(UnixAddress(path))
    first.close()
    bind(UnixAddress(path)).close()


def test_a_file_in_the_place_of_the_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ListenRefused):
        bind(UnixAddress(path))
    assert path.read_text() == "precious"


def test_a_port_in_use_is_refused() -> None:
    with bind(TcpAddress("127.0.0.1", 0)) as first, pytest.raises(ListenRefused):
        bind(TcpAddress("127.0.0.1", first.getsockname()[1]))


class CountedStale:
    """Something stale, removed ``limit`` at a time."""

    def __init__(self, stale: int, lock: Lock) -> None:
        self.stale = stale
        self.pieces = 0
        self._lock = lock

    def prune(self, limit: int) -> int:
        assert self._lock.locked()
        removed = min(limit, self.stale)
        self.stale -= removed
        self.pieces += 1
        return removed


def test_pruning_goes_on_in_pieces_until_nothing_is_stale() -> None:
    lock = Lock()
    database = CountedStale(5000, lock)

    async def run() -> None:
        pruner = Pruner(database, lock, ThreadPoolExecutor(1), die)
        pruner.start()
        pruner.start()
        while database.stale:
            await asyncio.sleep(0.01)
        await pruner.stop()

    asyncio.run(run())
    assert database.pieces >= 3


def test_a_failure_while_pruning_ends_the_process() -> None:
    class Broken:
        def prune(self, limit: int) -> int:
            raise OSError(5, "disk")

    async def run() -> None:
        pruner = Pruner(Broken(), Lock(), ThreadPoolExecutor(1), die)
        pruner.start()
        assert pruner._task is not None
        await pruner._task

    with pytest.raises(Died, match="disk"):
        asyncio.run(run())


class CountedCheck:
    """A check whose passes are of three pieces each."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def piece(self, leaves: int) -> bool:
        assert leaves == checking.PIECE_LEAVES
        self.done.append("piece")
        return self.done.count("piece") % 3 == 0

    def check_files(self) -> None:
        self.done.append("files")


def test_the_state_is_checked_piece_by_piece_and_its_files_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "PAUSE_S", 0.0)
    monkeypatch.setattr(checking, "PAUSE_AFTER_PASS_S", 0.0)
    monkeypatch.setattr(checking, "FILES_EVERY_PIECES", 4)
    check = CountedCheck()

    async def run() -> None:
        checker = Checker(check, ThreadPoolExecutor(1), die)
        checker.start()
        while len(check.done) < 20:
            await asyncio.sleep(0)
        await checker.stop()

    asyncio.run(run())
    assert check.done[:10] == ["files", *["piece"] * 4, "files", *["piece"] * 4]


def test_after_a_whole_pass_the_check_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "PAUSE_S", 0.0)
    check = CountedCheck()

    async def run() -> None:
        checker = Checker(check, ThreadPoolExecutor(1), die)
        checker.start()
        while check.done.count("piece") < 3:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        await checker.stop()

    asyncio.run(run())
    assert check.done.count("piece") == 3


@pytest.mark.parametrize("method", ["piece", "check_files"])
def test_what_the_check_finds_ends_the_process(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(checking, "PAUSE_S", 0.0)
    check = CountedCheck()

    def broken(*_: object) -> bool:
        raise StoreCorrupt("leaf 61 at height 7")

    monkeypatch.setattr(check, method, broken)

    async def run() -> None:
        checker = Checker(check, ThreadPoolExecutor(1), die)
        checker.start()
        assert checker._task is not None
        await checker._task

    with pytest.raises(Died, match="leaf 61"):
        asyncio.run(run())
