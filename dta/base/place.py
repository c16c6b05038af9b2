"""What the place refuses (a disk, a permission, a closed output), as an error of ours with a hint: for every OSError.

It is no fault of this program, and mostly not of the command either. What was not found or is of the wrong sort is the
command's (exit code 2); all else is the machine's (exit code 11).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from dta.base.errors import EXIT_PLACE, UsageError

Stamp: TypeAlias = tuple[int, int, int]
_OTHER_USER = "is it yours? run this as its owner, or give another --home"
_DISK = "look at the disk and at the kernel's messages (dmesg)"
_HINTS: Final[Mapping[int, str]] = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EISDIR: "check the path: it is a directory",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "check the path: its links go round",
    errno.EACCES: _OTHER_USER,
    errno.EPERM: _OTHER_USER,
    errno.EROFS: "what has to be written needs a --home on a disk that can be written; reading works as it is",
    errno.ENOSPC: "make room (`df`, and `df -i` for inodes), then run it again",
    errno.EDQUOT: "the quota of this user is used up: make room, then run it again",
    errno.EIO: _DISK,
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "the machine has too many open files",
    errno.ENOMEM: "the machine has no memory left",
    errno.EAGAIN: "the machine has no room for another process or thread (`ulimit -u`)",
    errno.EBADF: "standard output or input is closed: run it with one",
    errno.ENOEXEC: "it is no program for this machine",
    errno.ETXTBSY: "somebody is writing that program: wait until it is done",
}
_OF_SQLITE: Final[Mapping[str, int]] = {
    "SQLITE_FULL": errno.ENOSPC, "SQLITE_READONLY": errno.EROFS, "SQLITE_IOERR": errno.EIO,
}  # fmt: skip
_OF_THE_COMMAND: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP})


class PlaceFailure(UsageError):
    """The machine refused: a disk, a permission, a closed output. ``data``: ``errno`` by name, ``path`` if any."""

    kind = "place"
    exit_code = EXIT_PLACE


def stamp_of(path: Path) -> Stamp | None:
    """What tells a file that was replaced or written anew, its link's target too; None where it can't be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def failure(error: OSError, doing: str = "") -> UsageError:
    """``error`` as ours. ``doing``: what failed, such as ``can't write /a/b``; empty: it is said by ``error``."""
    path = str(error.filename) if isinstance(error.filename, str | bytes) else ""
    said = error.strerror or type(error).__name__
    message = f"{doing or (f'can not use {path}' if path else 'the machine refused')}: {said}"
    # TLS and the resolver are OSErrors too, with numbers of their own.
    number = (error.errno or 0) if type(error).__module__ == "builtins" else 0
    hint = _HINTS.get(number, "")
    made = UsageError if number in _OF_THE_COMMAND else PlaceFailure
    return made(message, hint=hint, data={"errno": errno.errorcode.get(number, ""), "path": path})


def database_failure(error: Exception) -> PlaceFailure | None:
    """The same for a database that can't be opened, read or written; None where ``error`` is something else."""
    if (type(error).__module__, type(error).__name__) != ("sqlite3", "OperationalError"):
        return None
    name = str(getattr(error, "sqlite_errorname", ""))
    # SQLite names some finer: SQLITE_IOERR_WRITE, SQLITE_READONLY_DIRECTORY.
    number = _OF_SQLITE.get("_".join(name.split("_")[:2]), 0)
    return PlaceFailure(
        f"a database of this home can't be used: {name or 'it does not say why'}",
        hint=_HINTS.get(number, "is it there, yours, on a disk that can be written, and used by nobody else?"),
        data={"errno": errno.errorcode.get(number, ""), "path": ""},
    )
