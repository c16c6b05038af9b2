"""The default block store: one file a block, in two levels of shards (docs/spec/blocks.md, On disk)."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from abci_app.cid import cid_of, digest_of, is_cid
from dta.base.home import sync_directory
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreBusy
from dta.blocks.files import DIRECTORY_MODE, FILE_MODE, make_directory, raise_if_full, write_temporary
from dta.blocks.sizes import Sizes
from dta.blocks.store import MAX_BLOCK_BYTES, check_size, nobody

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    size_bytes: int
    since_s: float  # last put, or unpinned: when the grace period started


class EmbeddedStore:
    """A :class:`dta.blocks.store.BlockStore` in ``directory``, which one process at a time may open.

    ``blocks/ab/cd/<cid>`` (ab, cd: the digest's first two bytes in hex), ``pins/<cid>`` empty, ``tmp/``,
    ``quarantine/<cid>``, ``released/<cid>`` empty. A block's modification time is when its grace period started.
    Raises StoreBusy.
    """

    def __init__(self, directory: Path, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._mutex = RLock()
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self._lock_file = _lock(directory)
        self._directory = directory
        self._blocks, self._pin_names, self._let_go_names, self._temporary, self._quarantined = (
            directory / name for name in ("blocks", "pins", "released", "tmp", "quarantine")
        )
        for path in (self._blocks, self._pin_names, self._let_go_names, self._temporary, self._quarantined):
            make_directory(path, directory)
        for leftover in self._temporary.iterdir():  # a put that never returned
            leftover.unlink()
        self._entries = dict(_scan_blocks(self._blocks))
        self._pinned = set(_scan_names(self._pin_names))
        self._loose, self._let_go = Sizes(), Sizes()
        for cid in _scan_names(self._let_go_names):
            if cid in self._entries and cid not in self._pinned:
                self._let_go.set(cid, self._entries[cid].size_bytes)
            else:
                (self._let_go_names / cid).unlink(missing_ok=True)
        for cid in self._entries.keys() - self._pinned:
            if cid not in self._let_go:
                self._loose.set(cid, self._entries[cid].size_bytes)

    def close(self) -> None:
        """Let another process open the directory."""
        os.close(self._lock_file)

    def put(self, block: bytes, uploaded: bool = True) -> str:
        check_size(block)
        cid = cid_of(block)
        path = self._path(cid)
        if self._holds(cid, block) and self._put_again(cid, uploaded):
            sync_directory(path.parent)  # its name may be younger than the last sync
            return cid
        make_directory(path.parent, self._blocks)
        temporary = write_temporary(self._temporary, block)
        entry = _Entry(len(block), self._now_s())
        try:
            os.utime(temporary, (entry.since_s, entry.since_s))
            with self._mutex:
                temporary.replace(path)
                if cid in self._entries:  # a repair: the grace period starts now, or it could go before this returns
                    self._remember(cid, entry, uploaded)
            sync_directory(path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise_if_full(error, self._directory, len(block))
            raise
        with self._mutex:
            if path.is_file():  # nobody discarded it meanwhile
                self._remember(cid, entry, uploaded)
        return cid

    def get(self, cid: str) -> bytes:
        try:
            return self._load(cid)
        except BlockCorrupt:
            with self._mutex:  # a put may have repaired it since: look again before moving it
                try:
                    return self._load(cid)
                except BlockCorrupt:
                    self._set_aside(cid)
                    raise

    def has(self, cid: str) -> bool:
        path = self._path(cid)
        return cid in self._entries and path.is_file()

    def pin(self, cid: str) -> None:
        if self.pin_many([cid]):
            raise BlockMissing(cid)

    def pin_many(self, cids: Sequence[str]) -> list[str]:
        for cid in cids:
            digest_of(cid)
        with self._mutex:
            missing = [cid for cid in dict.fromkeys(cids) if not self.has(cid)]
            new = frozenset(cids) - self._pinned - frozenset(missing)
            try:
                for cid in new:
                    os.close(os.open(self._pin_names / cid, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE))
                if new:
                    sync_directory(self._pin_names)
            except OSError as error:
                raise_if_full(error, self._directory, 0)
                raise
            self._pinned |= new
            for cid in new:
                self._loose.drop(cid)
                self._unmark(cid)
        return missing

    def unpin(self, cid: str) -> None:
        digest_of(cid)
        with self._mutex:
            if cid in self._pinned:
                if self.has(cid):
                    self._restart_grace(cid)  # before the pin goes: a crash between them only keeps the block longer
                (self._pin_names / cid).unlink(missing_ok=True)
                sync_directory(self._pin_names)
                self._pinned.discard(cid)
            elif cid in self._loose and self.has(cid):
                self._restart_grace(cid)
            if cid in self._entries:
                self._mark(cid)

    def is_pinned(self, cid: str) -> bool:
        digest_of(cid)
        return cid in self._pinned

    def pins(self) -> list[str]:
        with self._mutex:
            return list(self._pinned)

    def cids(self) -> list[str]:
        with self._mutex:
            return sorted(self._entries)

    def is_let_go(self, cid: str) -> bool:
        digest_of(cid)
        return cid in self._let_go

    def delete_unpinned(self, older_than_s: float, now_s: float) -> list[str]:
        return self._delete(self._loose, older_than_s, now_s)

    def delete_let_go(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        return self._delete(self._let_go, older_than_s, now_s, wanted)

    def discard(self, cid: str) -> None:
        path = self._path(cid)
        with self._mutex:
            if cid in self._loose or cid in self._let_go:
                path.unlink(missing_ok=True)
                self._forget(cid)

    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in list(self._entries.values()))

    def unpinned_bytes(self) -> int:
        return self._loose.total_bytes  # no lock: an event loop asks, and a pin holds the lock while the disk syncs

    def _delete(
        self, kind: Sizes, older_than_s: float, now_s: float, wanted: Callable[[str], bool] = nobody
    ) -> list[str]:
        """Those of ``kind`` whose grace period started so long ago. Others have the lock in between."""
        with self._mutex:
            old = sorted(cid for cid in kind if now_s - self._entries[cid].since_s >= older_than_s)
        deleted = []
        for cid in old:
            with self._mutex:
                if cid in kind and now_s - self._entries[cid].since_s >= older_than_s and not wanted(cid):
                    self._path(cid).unlink(missing_ok=True)
                    self._forget(cid)
                    deleted.append(cid)
        return deleted

    def _path(self, cid: str) -> Path:
        shard = digest_of(cid)[:2].hex()
        return self._blocks / shard[:2] / shard[2:] / cid

    def _load(self, cid: str) -> bytes:
        """The file's bytes, checked. Raises BlockMissing, BlockCorrupt; moves nothing."""
        path = self._path(cid)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                block = file.read(MAX_BLOCK_BYTES + 1)
        except FileNotFoundError:
            with self._mutex:
                if not path.exists():
                    self._forget(cid)
            raise BlockMissing(cid) from None
        except OSError as error:
            if error.errno in (errno.EIO, errno.ELOOP):  # a bad sector, or not a file of ours
                raise BlockCorrupt(cid) from error
            raise
        if cid_of(block) != cid:
            raise BlockCorrupt(cid)
        return block

    def _holds(self, cid: str, block: bytes) -> bool:
        try:
            return self._load(cid) == block
        except (BlockMissing, BlockCorrupt):
            return False

    def _set_aside(self, cid: str) -> None:
        self._path(cid).replace(self._quarantined / cid)
        self._forget(cid)
        _log.error("block %s is corrupt on disk and was moved to quarantine", cid)

    def _put_again(self, cid: str, uploaded: bool) -> bool:
        """Restart the grace period of a block that is here; whether it still is."""
        with self._mutex:
            if cid not in self._entries:
                return False
            self._restart_grace(cid)
            if uploaded and cid in self._let_go:
                self._make_loose(cid)
            return True

    def _restart_grace(self, cid: str) -> None:
        now_s = self._now_s()
        os.utime(self._path(cid), (now_s, now_s))
        self._entries[cid] = _Entry(self._entries[cid].size_bytes, now_s)

    def _remember(self, cid: str, entry: _Entry, uploaded: bool) -> None:
        self._entries[cid] = entry
        if cid in self._pinned:
            return
        if uploaded or cid in self._loose:
            self._make_loose(cid)
        else:
            self._mark(cid)

    def _make_loose(self, cid: str) -> None:
        """It is an upload: what was let go is so no more, durably."""
        if cid in self._let_go:
            self._unmark(cid)
            sync_directory(self._let_go_names)
        self._loose.set(cid, self._entries[cid].size_bytes)

    def _mark(self, cid: str) -> None:
        """It is let go. No sync, and no matter where the disk is full: without the name it is an upload again."""
        if cid in self._let_go:
            return
        self._loose.drop(cid)
        self._let_go.set(cid, self._entries[cid].size_bytes)
        with suppress(OSError):
            os.close(os.open(self._let_go_names / cid, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE))

    def _unmark(self, cid: str) -> None:
        if cid in self._let_go:
            (self._let_go_names / cid).unlink(missing_ok=True)
            self._let_go.drop(cid)

    def _forget(self, cid: str) -> None:
        self._entries.pop(cid, None)
        self._loose.drop(cid)
        self._unmark(cid)


def _lock(directory: Path) -> int:
    """Take the directory's lock; the kernel drops it when the process dies, however it dies."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreBusy(str(directory)) from None
    return descriptor


def _scan_blocks(blocks: Path) -> Iterator[tuple[str, _Entry]]:
    """What is on disk by its name; the bytes are checked when they are read."""
    for path in blocks.glob("??/??/*"):
        if not is_cid(path.name) or digest_of(path.name)[:2].hex() != path.parent.parent.name + path.parent.name:
            _log.warning("%s is no block of this store; it is left alone", path)
            continue
        status = path.lstat()
        yield path.name, _Entry(status.st_size, status.st_mtime)


def _scan_names(directory: Path) -> Iterator[str]:
    for path in directory.iterdir():
        if is_cid(path.name):
            yield path.name
