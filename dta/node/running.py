"""Whether a home's node runs and by which processes, what its disk bears, how far its check is: what it and who looks
at it share.

Apart from the supervisor, because looking has to be quick: ``dta status`` loads nothing that runs a node.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import struct
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dta.base.config import NodeConfig
from dta.base.errors import TimedOut, UsageError


@dataclass(frozen=True, slots=True)
class Room:
    """What of a disk is free, or has to be."""

    bytes: int
    inodes: int


STOP_BELOW = Room(64 * 1024 * 1024, 64)
"""A block is at most 8 MiB; it is written by CometBFT, its log of consensus and the application, with margin."""
START_ABOVE = Room(128 * 1024 * 1024, 256)

_TRIAL_BYTES = 4_096
# struct flock of Linux on machines of 64 bits: type, whence, start, length, pid.
_FLOCK = struct.Struct("hh4xqqi4x")
_LOOK_AGAIN_S = 0.05
_MAX_STATUS_BYTES = 1 << 20


def lock_file(config: NodeConfig) -> Path:
    """What the supervisor keeps locked as long as it lives. It holds nothing and is never deleted."""
    return config.run_dir / "node.lock"


@contextmanager
def locked(config: NodeConfig) -> Iterator[None]:
    """Be this home's supervisor. Raises UsageError where another process is.

    The kernel lets go of the lock with the process, however that ends, and children never have it. A process must not
    open the file again while it holds the lock: closing any descriptor of a file lets go of its locks (fcntl(2)).
    """
    descriptor = os.open(lock_file(config), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise UsageError("this node is running already", hint="`dta status` shows it") from None
        yield
    finally:
        os.close(descriptor)


def holder(config: NodeConfig) -> int | None:
    """The pid of this home's supervisor by the kernel; None: it does not run; 0: it can't be seen from here.

    The last is so where it runs in a container and we do not, or the other way round. Raises OSError where the lock is
    there and can't be looked at: another user's home is not one whose node does not run.
    """
    try:
        # To ask takes no right to write: a home on a disk that can't be written is looked at too.
        descriptor = os.open(lock_file(config), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else max(pid, 0)


def is_running(config: NodeConfig) -> bool:
    """Whether the supervisor of this home lives."""
    return holder(config) is not None


def stop(config: NodeConfig, timeout_s: float) -> bool:
    """Ask this home's supervisor to stop, and wait until it has; whether there was one. Raises TimedOut, UsageError."""
    pid = holder(config)
    if pid is None:
        return False
    if pid == 0:
        raise UsageError("this node runs where its processes can't be seen from", hint="stop it in its own container")
    send(pid, signal.SIGTERM, lambda: holder(config) == pid)
    deadline_s = time.monotonic() + timeout_s
    while holder(config) == pid:
        if time.monotonic() > deadline_s:
            raise TimedOut(f"the node has not stopped in {timeout_s:.0f} s", hint=f"see {config.log_dir}")
        time.sleep(_LOOK_AGAIN_S)
    return True


def is_child(pid: object, supervisor: int) -> bool:
    """Whether ``pid`` runs and was started by ``supervisor``: a number that was given away again is not."""
    if not isinstance(pid, int) or supervisor <= 0:
        return False
    try:
        # What stands between the brackets is the program's name, which may hold anything.
        state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return False
    return parent == str(supervisor) and state != "Z"


def send(pid: int, number: signal.Signals, still: Callable[[], bool]) -> bool:
    """Signal ``pid`` where ``still`` says, once the process is held, that it is the right one; whether it was.

    A number alone may be another program's by the time of the signal; a descriptor is of one process for ever.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not still():
            return False
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True


def read_status_file(path: Path) -> dict[str, Any] | None:
    """A status file of ours, or None where there is none (or a half-written one of a crash)."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_STATUS_BYTES))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def children(config: NodeConfig, supervisor: int) -> dict[str, dict[str, Any]]:
    """What the supervisor says of each of its children, with ``pid`` None for what is no child of its.

    The file may be of a supervisor before this one, and each pid in it another program's by now. Where ``supervisor``
    is 0, which is for :func:`holder` to say, nothing can be said of a pid: each is None.
    """
    said = read_status_file(config.run_dir / "supervisor.json") or {}
    found = {name: dict(child) for name, child in said.items() if isinstance(child, dict)}
    for child in found.values():
        if not is_child(child.get("pid"), supervisor):
            child["pid"] = None
    return found


def node_id(config: NodeConfig) -> str:
    """The id of this home's CometBFT (40 hex digits), by the key that it has. Empty where that can't be read."""
    try:
        table = json.loads((config.comet_home / "config/node_key.json").read_text(encoding="utf-8"))
        key = b64decode(table["priv_key"]["value"], validate=True)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return hashlib.sha256(key[32:]).digest()[:20].hex()


def stranger(config: NodeConfig, chain_id: str, answered_id: str) -> str:
    """Why what answered on this node's RPC port is not this node, or an empty string."""
    where = f"what answers at {config.rpc_url} is not this node"
    own = node_id(config)
    if chain_id != config.chain_id:
        return f"{where}: it is on the chain {chain_id}, not {config.chain_id}"
    if not own:
        return f"whether {config.rpc_url} is this node is not known: cometbft/config/node_key.json can't be read"
    if answered_id.lower() != own:
        return f"{where}: its id is {answered_id}, not {own}"
    return ""


def lack_of_room(directory: Path, wanted: Room) -> str:
    """What of ``wanted`` the disk of ``directory`` has not free, in words, or an empty string."""
    place = os.statvfs(directory)
    free_bytes = place.f_bavail * place.f_frsize
    if free_bytes < wanted.bytes:
        return f"{free_bytes >> 20} MiB are free"
    # A file system that makes inodes as they are needed says that it has none.
    if place.f_files and place.f_favail < wanted.inodes:
        return f"{place.f_favail} inodes are free"
    return ""


def write_trouble(home: Path) -> str:
    """Why a home's disk takes no writes, in words, or an empty string.

    A quota, an error of the device and a file system that was remounted read-only show in a write alone: one is made in
    each directory whose writes consensus waits for.
    """
    for directory in (home, home / "cometbft/data", home / "state"):
        if not directory.is_dir():
            continue
        try:
            with tempfile.TemporaryFile(dir=directory, prefix=".room-") as trial:
                trial.write(bytes(_TRIAL_BYTES))
                trial.flush()
                os.fsync(trial.fileno())
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM) and directory.stat().st_uid != os.geteuid():
                continue  # whoever looks is not whose node it is
            return f"nothing can be written in {directory}: {error.strerror}"
    return ""


def check_text(checked: dict[str, Any]) -> str:
    """How far the application's check of its leaves is (``state_check`` of the agent's status), for a person."""
    whole = checked.get("whole_at_height", 0)
    before = f"the last whole pass ended at height {whole}" if whole else "no pass is whole yet"
    return f"{checked.get('leaves', 0)} leaves of this pass checked, {before}"
