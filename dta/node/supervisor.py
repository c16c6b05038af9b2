"""``dta start``: supervises a node's processes (docs/adr/0006-process-split.md), and its own Kubo where it has one.

CometBFT and the application live and die together: losing an ABCI connection kills CometBFT, and an application that
restarts must be asked for its height again. The agent is on its own: a PKCS#11 module that hangs or crashes takes
down neither. So are the door, which strangers reach, and Kubo, which the agent waits for. What ends unasked is started
again, with a growing pause; SIGTERM or SIGINT stops all in order. When the disk is nearly full or takes no writes all
are stopped, and started when it does: CometBFT's consensus ends for good at a write that fails while its process stays.
Where that happens all the same, its log says so (dta/node/logs.py) and it is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from abci_app.server.main import EXIT_UPGRADE
from dta.base.config import NodeConfig
from dta.base.errors import UpgradeRequired, UsageError
from dta.base.home import write_disposable
from dta.node import processors, validator_key
from dta.node.kubo import own_kubo
from dta.node.logs import ChildLog, CometLines
from dta.node.running import START_ABOVE, STOP_BELOW, Room, lack_of_room, locked, write_trouble
from dta.node.tendermint_config import HOW_TO_GET, external_signer

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 30.0
STOP_TIMEOUT_S = 15.0
LOOK_AT_DISK_EVERY_S = 1.0
LOOKS_PER_TRIAL = 5
"""Free bytes and inodes are looked at each time, a write is tried at each fifth."""


@dataclass(slots=True)
class Child:
    """One supervised process. ``command`` is its argument list: never a secret. ``environment`` None: ours.

    ``fault``: why it was ended though it ran, until it has run for a while without.
    """

    name: str
    command: list[str]
    environment: dict[str, str] | None = None
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    started_at: float = 0.0
    last_exit: int | None = None
    fault: str = ""
    pause_s: float = field(default=FIRST_PAUSE_S)


class Supervisor:
    """Starts, watches and restarts the node's processes. ``run`` returns when asked to stop."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._stopping = asyncio.Event()
        self._lacks_version = False
        self._halt = asyncio.Event()  # the processes are to end: we are stopping, or the disk takes no more
        self._consensus_failed = asyncio.Event()
        python = sys.executable
        self.application = Child("application", [
            python, "-m", "abci_app.server", "--home", str(config.home),
            "--abci", f"unix://{config.abci_socket}", "--state-socket", str(config.state_socket),
        ])  # fmt: skip
        self.comet = Child("cometbft", [], processors.for_go(os.environ))
        self.agent = Child("agent", [python, "-m", "dta.node.agent.main", "--home", str(config.home)])
        door = Child("door", [python, "-m", "dta.node.door.main", "--home", str(config.home)])
        self.door = door if config.gateway.start_door else None
        self._daemon = own_kubo(config)
        self._logs: dict[str, ChildLog] = {}
        self.kubo = Child("kubo", self._daemon.command(), self._daemon.environment()) if self._daemon else None

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises UpgradeRequired where the application ended for want of a version."""
        self._check()
        with locked(self._config):
            if self._daemon is not None:
                self._daemon.prepare()
            loop = asyncio.get_running_loop()
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, self._ask_to_stop)
            # A terminal that goes away is no wish to stop: the node would end with whoever logs out.
            loop.add_signal_handler(signal.SIGHUP, _say, "SIGHUP: the node goes on; SIGTERM stops it")
            await self._until_there_is_room()
            while not self._stopping.is_set():
                await self._run_processes()
                await self._until_there_is_room()
        if self._lacks_version:
            raise UpgradeRequired(
                "the ledger's next block has a protocol version that this program lacks: the node stopped before it",
                hint=f"install a dta that has it, and start again: docs/runbooks/upgrade.md; {self._config.log_dir}",
            )

    async def _run_processes(self) -> None:
        """Until the halt."""
        alone = [child for child in (self.kubo, self.agent, self.door) if child is not None]
        try:
            await asyncio.gather(
                self._ledger_forever(), self._watch_disk(), *(self._forever(child) for child in alone)
            )
        finally:
            self._halt.set()
            for child in (self.door, self.agent, self.comet, self.application, self.kubo):
                if child is not None:
                    await self._stop(child)
            for log in self._logs.values():
                log.close()

    def _ask_to_stop(self) -> None:
        self._stopping.set()
        self._halt.set()

    async def _watch_disk(self) -> None:
        looks = 0
        while not self._halt.is_set():
            looks += 1
            trouble = await self._disk_trouble(STOP_BELOW, trial=looks % LOOKS_PER_TRIAL == 0)
            if trouble:
                _say(f"{trouble}: stopping until that is over")
                self._halt.set()
            self._forget_old_fault(self.comet)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), LOOK_AT_DISK_EVERY_S)

    async def _disk_trouble(self, wanted: Room, trial: bool) -> str:
        """Why the disk lets the node not run, or an empty string."""
        lack = lack_of_room(self._config.home, wanted)
        if lack:
            return f"the disk is full ({lack})"
        return await asyncio.to_thread(write_trouble, self._config.home) if trial else ""

    async def _until_there_is_room(self) -> None:
        wanted = START_ABOVE if self._halt.is_set() else STOP_BELOW
        self._write_status()
        said = ""
        while not self._stopping.is_set() and (trouble := await self._disk_trouble(wanted, trial=True)):
            if trouble.partition("(")[0] != said:
                said = trouble.partition("(")[0]
                _say(f"{trouble}: waiting until that is over")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_AT_DISK_EVERY_S)
        if not self._stopping.is_set():
            self._halt.clear()

    def _forget_old_fault(self, child: Child) -> None:
        runs = child.process is not None and child.process.returncode is None
        if child.fault and runs and time.monotonic() - child.started_at > STEADY_AFTER_S:
            child.fault = ""
            self._write_status()

    def _check(self) -> None:
        config = self._config
        _binary(config)
        validator_key.require_sign_state(validator_key.KeyFiles(config.comet_home))
        for directory in (config.run_dir, config.log_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def _ledger_forever(self) -> None:
        while not self._halt.is_set():
            await self._start(self.application)
            if not await self._wait_for_socket(self.application, self._config.abci_socket):
                if self._must_upgrade():
                    return
                await self._pause_before_restart(self.application)
                continue
            self.comet.command = self._comet_command()
            self._consensus_failed.clear()
            await self._start(self.comet)
            await self._first_of(self.application, self.comet, also=self._consensus_failed)
            if self._consensus_failed.is_set() and not self._halt.is_set():
                _say(f"CometBFT runs, but {self.comet.fault}; starting it again")
            # One went: the other has lost its peer and goes too, CometBFT first.
            await self._stop(self.comet)
            await self._stop(self.application)
            if self._must_upgrade():
                return
            if not self._halt.is_set():
                await self._pause_before_restart(self.comet)

    def _must_upgrade(self) -> bool:
        """Whether the application ended for want of a version: then all is to stop, starting again would not help."""
        process = self.application.process
        if process is None or process.returncode != EXIT_UPGRADE:
            return False
        self._lacks_version = True
        self._ask_to_stop()
        return True

    def _comet_command(self) -> list[str]:
        """Asked anew at each start: a key that has signed here is protected by its sign-state, a new one is not."""
        config = self._config
        files = validator_key.KeyFiles(config.comet_home)
        if validator_key.take_committed(files):
            _say("the node votes with its new consensus key from now on")
        signer = external_signer(config.comet_home)
        if signer:
            # The signer has the sign-state; what CometBFT then makes in the key's place is nobody's. A socket that
            # a killed CometBFT left would keep the next one from listening.
            socket_path = Path(signer.removeprefix("unix://"))
            if signer.startswith("unix://") and socket_path.is_socket():
                socket_path.unlink()
            look_back = 0
        else:
            look_back = validator_key.look_back_blocks(files)
        return [
            _binary(config), "start", "--home", str(config.comet_home),
            "--proxy_app", f"unix://{config.abci_socket}",  # config.toml has where the home was when it was made
            "--consensus.double_sign_check_height", str(look_back),
        ]  # fmt: skip

    async def _forever(self, child: Child) -> None:
        """Keep a process running that no other one goes down with."""
        while not self._halt.is_set():
            await self._start(child)
            await self._first_of(child)
            if not self._halt.is_set():
                await self._pause_before_restart(child)

    async def _start(self, child: Child) -> None:
        if child.name not in self._logs:
            shown = CometLines(self._consensus_ended) if child is self.comet else None
            self._logs[child.name] = ChildLog(self._config.log_dir / f"{child.name}.log", shown)
        sink = self._logs[child.name].open()
        try:
            child.process = await asyncio.create_subprocess_exec(
                *child.command, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink,
                env=child.environment, start_new_session=True, preexec_fn=partial(_die_with_parent, os.getpid()),
            )  # fmt: skip
        finally:
            os.close(sink)
        child.started_at = time.monotonic()
        self._write_status()

    def _consensus_ended(self, reason: str) -> None:
        self.comet.fault = f"its consensus ended: {reason}"
        self._consensus_failed.set()

    async def _wait_for_socket(self, child: Child, path: Path) -> bool:
        """True when the socket accepts; False when the process ended or we are stopping."""
        while not self._halt.is_set():
            if child.process is None or child.process.returncode is not None:
                return False
            try:
                _, writer = await asyncio.open_unix_connection(str(path))
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return True
        return False

    async def _first_of(self, *children: Child, also: asyncio.Event | None = None) -> None:
        """Return when one of them ended, when ``also`` is set, or when we are to stop."""
        events = [self._halt] if also is None else [self._halt, also]
        waits: list[asyncio.Task[object]] = [asyncio.create_task(_forget(event.wait())) for event in events]
        waits += [asyncio.create_task(_forget(_exit_of(child))) for child in children]
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for child in children:
            if child.process is not None and child.process.returncode is not None and not self._halt.is_set():
                child.last_exit = child.process.returncode
                if child is self.application and child.last_exit == EXIT_UPGRADE:
                    continue  # it is not started again
                _say(f"{child.name} ended with {child.last_exit}; starting it again")

    async def _pause_before_restart(self, child: Child) -> None:
        if time.monotonic() - child.started_at > STEADY_AFTER_S:
            child.pause_s = FIRST_PAUSE_S
        child.restarts += 1
        self._write_status()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._halt.wait(), child.pause_s)
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    async def _stop(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _write_status(self) -> None:
        """``run/supervisor.json``: pids, restarts and last exits, for ``dta status`` and the fault tests.

        A disk that is full must not end the supervisor: the file is then as it was.
        """
        status = {
            child.name: {
                "pid": child.process.pid if child.process is not None and child.process.returncode is None else None,
                "restarts": child.restarts,
                "last_exit": child.last_exit,
                "fault": child.fault,
            }
            for child in (self.application, self.comet, self.agent, self.door, self.kubo)
            if child is not None
        }
        with contextlib.suppress(OSError):
            write_disposable(self._config.run_dir / "supervisor.json", json.dumps(status, indent=2) + "\n")


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent(supervisor: int) -> None:
    """In the child: a supervisor that is killed takes its processes along, or the next start would find them."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # killed before this was asked for
        os._exit(1)


def _say(line: str) -> None:
    """One line on stderr, which may be a file on a full disk."""
    with contextlib.suppress(OSError):
        print(f"dta: {line}", file=sys.stderr, flush=True)


async def _forget(awaitable: Awaitable[object]) -> object:
    return await awaitable


async def _exit_of(child: Child) -> None:
    if child.process is not None:
        await child.process.wait()


def _binary(config: NodeConfig) -> str:
    found = shutil.which(config.comet_binary)
    if found is None:
        raise UsageError(f"there is no CometBFT at {config.comet_binary}", hint=HOW_TO_GET)
    return found


def run(config: NodeConfig) -> None:
    """Run the node until it is told to stop. Raises :class:`UsageError` for what can't be started."""
    asyncio.run(Supervisor(config).run())
