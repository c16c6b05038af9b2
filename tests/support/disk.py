"""Small file systems, and how to fill them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest


def mount_small_disk(directory: Path, size_mib: int) -> None:
    """A file system of ``size_mib`` at ``directory``; the test is skipped, saying so, where that can't be done."""
    _mount("-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "tmpfs", str(directory))


def mount_read_only(directory: Path, place: Path) -> None:
    """``directory`` at ``place`` too, where it takes no writes; the test is skipped where that can't be done."""
    _mount("--bind", str(directory), str(place))
    remount(place, "bind,ro")


def _mount(*arguments: str) -> None:
    command = ["mount", *arguments]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: it takes root and the right to mount")


def remount(directory: Path, options: str) -> None:
    """Change a mounted small file system: ``ro``, ``rw``, ``nr_inodes=N`` (0: no limit)."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(directory)], check=True)


def use_up_inodes(directory: Path) -> None:
    """From now on no file can be made there."""
    place = os.statvfs(directory)
    remount(directory, f"nr_inodes={place.f_files - place.f_ffree}")


def unmount(directory: Path) -> None:
    """At once, even where a process still has a file in it."""
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(path: Path) -> None:
    """Write to ``path`` until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(path.parent).free < 4096


@dataclass
class Left:
    """How many bytes ``os.write`` still finds room for in files; None: for all."""

    room_bytes: int | None = None


def little_room(monkeypatch: pytest.MonkeyPatch) -> Left:
    """From now on files of this process are on a disk with as much room as the test says."""
    left, write = Left(), os.write

    def written(descriptor: int, data: bytes) -> int:
        if left.room_bytes is None or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return write(descriptor, data)
        if not left.room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, data[: left.room_bytes])
        left.room_bytes -= done
        return done

    monkeypatch.setattr(os, "write", written)
    return left
