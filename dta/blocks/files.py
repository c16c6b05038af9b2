"""Writing files so that they are whole after a power cut, or not there."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from dta.base.home import sync_directory
from dta.blocks.errors import StoreFull

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_directory(directory: Path, under: Path) -> None:
    """Make ``directory`` and its missing parents below ``under`` (which exists), each durably. Raises StoreFull."""
    if directory == under or directory.is_dir():
        return
    make_directory(directory.parent, under)
    try:
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        sync_directory(directory.parent)
    except OSError as error:
        raise_if_full(error, directory, 0)
        raise


def write_temporary(directory: Path, data: bytes) -> Path:
    """Write ``data`` to a new file in ``directory`` and sync it; the caller renames it. Raises StoreFull.

    On any error the file is removed again; after a crash it stays, under a name that no reader looks for.
    """
    path = directory / secrets.token_hex(16)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise_if_full(error, directory, len(data))
        raise
    return path


def raise_if_full(error: OSError, where: Path, size_bytes: int) -> None:
    """Raise StoreFull where ``error`` says that the disk or its quota is used up."""
    if error.errno in _FULL:
        raise StoreFull(str(where), size_bytes) from error
