"""The application process: ``python -m abci_app.server --home DIR --abci ADDRESS --state-socket PATH``.

Exit codes: 0 stopped by SIGTERM or SIGINT; 2 an argument or an address is refused; 70 ended by one of the conditions
listed in docs/spec/abci-server.md; 73 the state can't be opened; 76 the next block's rules are those of a version that
this binary lacks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from abci_app.codes import Code
from abci_app.errors import UpgradeNeeded
from abci_app.server import collector
from abci_app.server.application import Application, StateMachine
from abci_app.server.changes import CommittedChanges
from abci_app.server.checking import Checker
from abci_app.server.connection import Service
from abci_app.server.dispatch import Dispatcher
from abci_app.server.framing import DEFAULT_MAX_FRAME_BYTES
from abci_app.server.hardening import harden
from abci_app.server.intake import Intake
from abci_app.server.listener import Listener, ListenRefused, UnixAddress, bind, parse_address
from abci_app.server.pruning import Pruner
from abci_app.server.statesocket import MAX_REQUEST_BYTES, StateReader
from abci_app.storage.check import LeafCheck
from abci_app.storage.files import failure_of
from abci_app.storage.kv import StorageFailure, StoreCorrupt
from abci_app.storage.leveldb import LevelDbStore, move_aside
from abci_app.storage.statedb import StateDB

if TYPE_CHECKING:
    from abci_app.mempool import Mempool

EXIT_USAGE = 2
EXIT_FATAL = 70
EXIT_UPGRADE = 76
# After the last block that this binary has rules for: so long it stays, for peers that are a moment behind.
UPGRADE_LINGER_S = 10.0
EXIT_STATE = 73
# CometBFT makes four, and four more while an old process of it still goes.
MAX_ABCI_CONNECTIONS = 16
MAX_STATE_CONNECTIONS = 16
WORKER_THREADS = 4
STATE_DIRECTORY = "state"
CORRUPT_MARKER = "state-is-corrupt"
_HINT = "see docs/spec/abci-server.md, What ends the process"


def log(line: str) -> None:
    """One line on stderr. A stderr that is gone must not end the ledger."""
    with contextlib.suppress(OSError):
        print(f"dta-app: {line}", file=sys.stderr, flush=True)


class StateHome:
    """Where the state is on disk, and what happens to it when it turns out corrupt."""

    def __init__(self, home: Path) -> None:
        self._path = home / STATE_DIRECTORY
        self._marker = home / CORRUPT_MARKER

    def open(self) -> StateDB:
        """The state; a corrupt one is moved aside, never repaired: CometBFT replays every block into an empty one.

        Raises OSError (the store's StorageFailure is one) when it can't be opened: another process holds it, this user
        may not, the disk is full.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._marker.exists():
            self._move_aside("the process before this one found it corrupt")
        try:
            return _open(self._path)
        except StoreCorrupt as error:
            self._move_aside(str(error))
            return _open(self._path)

    def die(self, error: BaseException) -> NoReturn:
        """Say why on stderr and end the process at once: no answer leaves it, and nothing more is written."""
        if isinstance(error, UpgradeNeeded):
            with contextlib.suppress(OSError):
                print(f"error: {error}", file=sys.stderr)
                print("hint: see docs/runbooks/upgrade.md", file=sys.stderr, flush=True)
            os._exit(EXIT_UPGRADE)
        if isinstance(error, StoreCorrupt):
            with contextlib.suppress(OSError):
                self._marker.touch()
        with contextlib.suppress(OSError):
            print("".join(traceback.format_exception(error)), file=sys.stderr)
            print(f"error: the application ends itself: {type(error).__name__}: {error}", file=sys.stderr)
            hint = error.hint if isinstance(error, StorageFailure) else _HINT
            print(f"hint: {hint}", file=sys.stderr, flush=True)
        os._exit(EXIT_FATAL)

    def _move_aside(self, reason: str) -> None:
        if self._path.exists():
            log(f"state moved to {move_aside(self._path)}: {reason}; CometBFT replays the blocks")
        self._marker.unlink(missing_ok=True)


def _open(path: Path) -> StateDB:
    store = LevelDbStore(path)
    try:
        return StateDB(store)
    except BaseException:
        store.close()
        raise


async def serve(
    home: StateHome, database: StateDB, machine: StateMachine, mempool: Mempool, arguments: argparse.Namespace
) -> None:
    """Listen and serve until SIGTERM or SIGINT. Raises :class:`ListenRefused`."""
    executor = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="dta-app")

    def linger(needed: UpgradeNeeded) -> None:
        asyncio.get_running_loop().call_later(UPGRADE_LINGER_S, home.die, needed)

    intake = Intake()
    committed = CommittedChanges.of(database)
    application = Application(
        database, machine, mempool, version=version("dta"), on_committed=committed.record,
        after_commit=lambda: pruner.start(), breathe=intake.drain, on_last_block=linger,
    )  # fmt: skip
    pruner = Pruner(database, application.write_lock, executor, home.die)
    check = LeafCheck(database)
    checker = Checker(check, executor, home.die)
    dispatcher = Dispatcher(application, internal_code=Code.INTERNAL, executor=executor, die=home.die, log=log)

    def serve_abci() -> Service:
        return Service(dispatcher.answer)

    def serve_state() -> Service:
        state = StateReader(database, committed, executor, home.die, log, lambda: check.checked)
        return Service(state.answer, state.close)

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(executor.shutdown)
        stack.push_async_callback(pruner.stop)
        stack.push_async_callback(checker.stop)
        where = []
        state_address = UnixAddress(arguments.state_socket.absolute())
        abci_address, frame_bytes = parse_address(arguments.abci), arguments.max_message_bytes
        for address, served, name, most_bytes, cap, drained in (
            (abci_address, serve_abci, "abci", frame_bytes, MAX_ABCI_CONNECTIONS, intake),
            (state_address, serve_state, "state socket", MAX_REQUEST_BYTES, MAX_STATE_CONNECTIONS, None),
        ):
            listening = bind(address)
            where.append(f"{name} on {listening.getsockname()}")
            listener = Listener(
                listening, served, name=name, max_frame_bytes=most_bytes, max_connections=cap, log=log, intake=drained
            )
            stack.push_async_callback(listener.stop)
            await listener.start()
        log(f"at height {database.height}, {', '.join(where)}")
        checker.start()
        await stop.wait()


def main(machine: StateMachine, mempool: Mempool, argv: Sequence[str] | None = None) -> int:
    """Run the process with ``machine`` (abci_app.transition); the exit code (see the module)."""
    parser = argparse.ArgumentParser(prog="dta-app", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, required=True, help="directory of the state")
    parser.add_argument("--abci", required=True, help="unix:///path or tcp://127.0.0.1:PORT, for CometBFT")
    parser.add_argument("--state-socket", type=Path, required=True, help="path of the agent's read socket")
    parser.add_argument("--max-message-bytes", type=int, default=DEFAULT_MAX_FRAME_BYTES, help="cap of one message")
    arguments = parser.parse_args(argv)
    os.umask(0o077)
    harden()
    home = StateHome(arguments.home)
    try:
        database = home.open()
    except OSError as error:
        failure = failure_of(error, arguments.home)
        print(f"error: the state in {arguments.home} can't be opened: {failure}", file=sys.stderr)
        print(f"hint: {failure.hint}", file=sys.stderr)
        return EXIT_STATE
    collector.settle()
    try:
        asyncio.run(serve(home, database, machine, mempool, arguments))
    except ListenRefused as refused:
        print(f"error: {refused}\nhint: {refused.hint}", file=sys.stderr)
        return EXIT_USAGE
    finally:
        database.close()
    return 0
