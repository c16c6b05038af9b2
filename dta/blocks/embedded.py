"""The default block store: one file a block, in two levels of shards (docs/spec/blocks.md, On disk)."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from threading import RLock

from abci_app.cid import cid_of, digest_of, is_cid
from dta.base.home import sync_directory
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreBusy, StoreUnreachable
from dta.blocks.files import DIRECTORY_MODE, FILE_MODE, make_directory, raise_if_full, write_temporary
from dta.blocks.loose import Loose
from dta.blocks.store import MAX_BLOCK_BYTES, check_size

_NOT_ASKED = -1
_log = logging.getLogger(__name__)


class EmbeddedStore:
    """A :class:`dta.blocks.store.BlockStore` in ``directory``, which one process at a time may open.

    ``blocks/ab/cd/<cid>`` (ab, cd: the digest's first two bytes in hex), ``pins/<cid>`` empty, ``tmp/``,
    ``quarantine/<cid>``, ``released/<cid>`` empty: let go, where it is held and not pinned. A block's modification time
    is when its grace period started. Raises StoreBusy.

    Where ``look`` is False, whoever opens it calls :meth:`open`, beside other uses: with many blocks it takes minutes.
    Until it has returned a block and a pin are looked for on disk; what only all of them tell (lists, sizes) raises
    StoreUnreachable, and nothing is old enough to be deleted.
    """

    def __init__(self, directory: Path, now_s: Callable[[], float] = time.time, *, look: bool = True) -> None:
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
        self._sizes: dict[str, int] = {}  # of what is held; of a pinned block mostly not asked yet
        self._pinned: set[str] = set()
        self._loose, self._let_go = Loose(), Loose()
        self._marked = set(_names(self._let_go_names))
        self._putting: list[str] = []
        # Until all was looked at: what went, or was unpinned, since.
        self._gone: set[str] | None = set()
        self._unpinned: set[str] = set()
        self._is_closed = False
        if look:
            self.open()

    def open(self) -> None:
        """Look at all that is there, once: beside other uses. Only what is not pinned is asked for its size."""
        for cid in _names(self._pin_names):
            with self._mutex:
                if cid not in self._unpinned:
                    self._pinned.add(cid)
                    self._uncount(cid)
        for shard in _shards(self._blocks):
            if self._is_closed:
                return
            self._learn(shard)
        with self._mutex:
            self._gone = None
            self._unpinned.clear()
            for cid in self._marked - self._sizes.keys():
                self._unmark(cid)

    def close(self) -> None:
        """Let another process open the directory."""
        self._is_closed = True
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
        since_s = self._now_s()
        self._putting.append(cid)
        try:
            os.utime(temporary, (since_s, since_s))
            with self._mutex:
                temporary.replace(path)
                if cid in self._sizes:  # a repair: the grace period starts now, or it could go before this returns
                    self._set_kind(cid, uploaded)
                    self._remember(cid, len(block), since_s)
            sync_directory(path.parent)
            with self._mutex:
                if path.is_file():  # nobody discarded it meanwhile
                    self._set_kind(cid, uploaded)
                    self._remember(cid, len(block), since_s)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            with self._mutex:
                if self._gone is not None and cid not in self._sizes:  # nobody knows that its name would survive
                    self._gone.add(cid)
            raise_if_full(error, self._directory, len(block))
            raise
        finally:
            self._putting.remove(cid)
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
        path = self._path(cid)  # no lock: an event loop asks
        return (cid in self._sizes or self._may_be_there(cid)) and path.is_file()

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
                self._uncount(cid)
                self._unpinned.discard(cid)
        return missing

    def unpin(self, cid: str, done_s: float = inf) -> None:
        digest_of(cid)
        with self._mutex:
            is_pinned, is_here = self.is_pinned(cid), self.has(cid)
            if not is_pinned and (cid in self._marked or not is_here or self._path(cid).lstat().st_mtime > done_s):
                return
            since_s = self._now_s()
            if is_here:  # before the pin goes: a crash between them only keeps the block longer
                self._restart_grace(cid, since_s)
            if is_pinned:
                (self._pin_names / cid).unlink(missing_ok=True)
                sync_directory(self._pin_names)
                self._pinned.discard(cid)
                if self._gone is not None:
                    self._unpinned.add(cid)
            if is_here:
                self._mark(cid)
            if cid in self._sizes:
                self._remember(cid, self._size(cid), since_s)

    def is_pinned(self, cid: str) -> bool:
        digest_of(cid)
        return cid in self._pinned or (self._gone is not None and (self._pin_names / cid).exists())

    def pins(self) -> list[str]:
        self._require_open()
        with self._mutex:
            return list(self._pinned)

    def cids(self) -> list[str]:
        self._require_open()
        with self._mutex:
            return sorted(self._sizes)

    def is_let_go(self, cid: str) -> bool:
        digest_of(cid)
        if self._gone is None:
            return cid in self._let_go
        return cid in self._marked and self.has(cid) and not self.is_pinned(cid)

    def delete_unpinned(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        return self._delete(self._loose, older_than_s, now_s, wanted)

    def delete_let_go(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        return self._delete(self._let_go, older_than_s, now_s, wanted)

    def discard(self, cid: str, wanted: Callable[[str], bool]) -> None:
        path = self._path(cid)
        with self._mutex:
            is_loose = cid in self._loose or cid in self._let_go
            if (is_loose or (self._may_be_there(cid) and not self.is_pinned(cid))) and not wanted(cid):
                path.unlink(missing_ok=True)
                self._forget(cid)

    def size_bytes(self) -> int:
        self._require_open()
        return sum(map(self._size, list(self._sizes)))

    def unpinned_bytes(self) -> int:
        self._require_open()
        return self._loose.total_bytes  # no lock: an event loop asks, and a pin holds the lock while the disk syncs

    def _delete(
        self, kind: Loose, older_than_s: float, now_s: float, wanted: Callable[[str], bool]
    ) -> list[str]:
        """Those of ``kind`` whose grace period started so long ago. Others have the lock in between."""
        deleted: list[str] = []
        with self._mutex:
            old = [] if self._gone is not None else kind.old(older_than_s, now_s)
        for cid in old:
            with self._mutex:
                if kind.is_old(cid, older_than_s, now_s) and not wanted(cid):
                    self._path(cid).unlink(missing_ok=True)
                    self._forget(cid)
                    deleted.append(cid)
        return deleted

    def _require_open(self) -> None:
        if self._gone is not None:
            raise StoreUnreachable(str(self._directory), "its blocks are being counted")

    def _may_be_there(self, cid: str) -> bool:
        """Whether only the disk can say. What is being put is not there before its name is durable."""
        gone = self._gone
        return gone is not None and cid not in gone and cid not in self._putting

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
                if (cid in self._sizes or cid in self._pinned) and not path.exists():
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
            if cid not in self._sizes and not self.has(cid):
                return False
            since_s = self._now_s()
            self._restart_grace(cid, since_s)
            if uploaded:
                self._set_kind(cid, uploaded)
            self._remember(cid, self._size(cid), since_s)
            return True

    def _restart_grace(self, cid: str, since_s: float) -> None:
        os.utime(self._path(cid), (since_s, since_s))

    def _size(self, cid: str) -> int:
        known = self._sizes.get(cid, _NOT_ASKED)
        if known != _NOT_ASKED:
            return known
        try:
            return self._path(cid).lstat().st_size
        except FileNotFoundError:
            return 0

    def _remember(self, cid: str, size_bytes: int, since_s: float) -> None:
        self._sizes[cid] = size_bytes
        if self._gone is not None:
            self._gone.discard(cid)
        if self.is_pinned(cid):
            return
        here, there = (self._let_go, self._loose) if cid in self._marked else (self._loose, self._let_go)
        here.set(cid, size_bytes, since_s)
        there.drop(cid)

    def _set_kind(self, cid: str, uploaded: bool) -> None:
        """An upload from now on, durably; or, what is new and none, let go."""
        if not uploaded:
            if cid not in self._loose and not self.is_pinned(cid):
                self._mark(cid)
        elif cid in self._marked:
            self._unmark(cid)
            sync_directory(self._let_go_names)

    def _mark(self, cid: str) -> None:
        """It is let go. No sync, and no matter where the disk is full: without the name it is an upload again."""
        if cid not in self._marked:
            self._marked.add(cid)
            with suppress(OSError):
                os.close(os.open(self._let_go_names / cid, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE))

    def _unmark(self, cid: str) -> None:
        if cid in self._marked:
            (self._let_go_names / cid).unlink(missing_ok=True)
            self._marked.discard(cid)

    def _uncount(self, cid: str) -> None:
        """It is neither an upload nor let go any more: pinned, or gone."""
        self._loose.drop(cid)
        self._let_go.drop(cid)
        self._unmark(cid)

    def _forget(self, cid: str) -> None:
        self._sizes.pop(cid, None)
        self._uncount(cid)
        if self._gone is not None:
            self._gone.add(cid)

    def _learn(self, shard: Path) -> None:
        """What is on disk by its name; the bytes are checked when they are read."""
        for cid in _names(shard):
            if digest_of(cid)[:2].hex() != shard.parent.name + shard.name:
                _log.warning("%s is no block of this store; it is left alone", shard / cid)
            elif cid in self._pinned:
                with self._mutex:
                    if cid not in self._sizes and self._may_be_there(cid):
                        self._sizes[cid] = _NOT_ASKED
                        if cid not in self._pinned:  # unpinned since: its grace period started then
                            self._remember(cid, self._size(cid), self._now_s())
            else:
                self._learn_loose(cid, shard / cid)

    def _learn_loose(self, cid: str, path: Path) -> None:
        with self._mutex:
            if cid in self._sizes or not self._may_be_there(cid):
                return
            try:
                status = path.lstat()
            except FileNotFoundError:
                return
            self._remember(cid, status.st_size, status.st_mtime)


def _lock(directory: Path) -> int:
    """Take the directory's lock; the kernel drops it when the process dies, however it dies."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreBusy(str(directory)) from None
    return descriptor


def _shards(blocks: Path) -> Iterator[Path]:
    for first in _directories(blocks):
        yield from _directories(first)


def _directories(directory: Path) -> list[Path]:
    with os.scandir(directory) as entries:
        return [directory / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _names(directory: Path) -> Iterator[str]:
    """The names of blocks or pins in it."""
    for name in os.listdir(directory):
        if is_cid(name):
            yield name
        else:
            _log.warning("%s is no block of this store; it is left alone", directory / name)
