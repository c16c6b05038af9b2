"""A block store in a Kubo node, over its RPC API (docs.ipfs.tech/reference/kubo/rpc, Kubo 0.43; docs/adr/0003).

Every block is pinned in Kubo while this store holds it, so that Kubo's garbage collector leaves it alone. What this
system calls pinned, an upload, or let go, and since when, is in the pin's *name*: ``dta-v1 <kind> <ms> <size>``, the
kind being ``pinned``, ``unpinned`` or ``released`` (Unix milliseconds; bytes). So nothing has to be kept
beside Kubo, and pins of others in it are never touched.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from math import inf
from threading import RLock
from typing import Literal, cast

import httpx

from abci_app.cid import cid_of, digest_of, is_cid
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreUnreachable
from dta.blocks.loose import Loose
from dta.blocks.store import MAX_BLOCK_BYTES, check_size

_NAME = re.compile(r"dta-v1 (pinned|unpinned|released) ([0-9]{1,16}) ([0-9]{1,7})")
_MAX_REPLY_BYTES = 65_536
# Kubo has one status and one code for every failure of a command: what it means stands in the message alone.
_NOT_FOUND = "ipld: could not find "
_NOT_PINNED = "not pinned or pinned indirectly"
_log = logging.getLogger(__name__)


_Kind = Literal["pinned", "unpinned", "released"]


@dataclass(frozen=True, slots=True)
class _Entry:
    size_bytes: int
    since_ms: int  # last put, or unpinned
    kind: _Kind

    @property
    def pinned(self) -> bool:
        return self.kind == "pinned"

    def name(self) -> str:
        return f"dta-v1 {self.kind} {self.since_ms} {self.size_bytes}"


class KuboStore:
    """A :class:`dta.blocks.store.BlockStore` in the Kubo node whose RPC API is ``client``'s ``base_url``.

    The client carries timeouts and, where the API asks for one, the ``Authorization`` header. One node of ours to one
    Kubo node: the names say nothing about whose they are. A block outlives a power cut where Kubo's flatfs syncs.
    Every method may raise StoreUnreachable too; until :meth:`open` has returned each does, at once.
    """

    def __init__(self, client: httpx.Client, now_s: Callable[[], float] = time.time) -> None:
        self._client = client
        self._where = str(client.base_url)
        self._now_s = now_s
        self._mutex = RLock()
        self._entries: dict[str, _Entry] | None = None
        self._lost_pins: set[str] = set()  # pinned, but Kubo no longer had the block
        self._loose, self._let_go = Loose(), Loose()
        self._unnamed: dict[str, _Entry] = {}  # put, but Kubo failed to name the pin: named when it is next wanted

    def open(self) -> None:
        """Learn from Kubo what is ours; once. Before that nobody knows what this store holds."""
        entries = dict(self._scan())
        for cid, entry in entries.items():
            self._count(cid, entry)
        self._entries = entries

    @property
    def _held(self) -> dict[str, _Entry]:
        if self._entries is None:
            raise StoreUnreachable(self._where, "Kubo has not said yet what it holds")
        return self._entries

    def put(self, block: bytes, uploaded: bool = True) -> str:
        check_size(block)
        cid = cid_of(block)
        with self._mutex:
            entry = self._held.get(cid)
            if entry is not None and self._is_good(cid):
                if not entry.pinned:
                    self._name(cid, _Entry(len(block), self._now_ms(), "unpinned" if uploaded else entry.kind))
                return cid
            self._write(cid, block)
            if self._load(cid) != block:  # Kubo had a bad copy, by whomever, and does not write over what it has
                self._remove(cid)
                self._write(cid, block)
                if self._load(cid) != block:
                    raise StoreUnreachable(self._where, "Kubo does not give back what was put")
            kind: _Kind = "pinned" if cid in self._lost_pins else "unpinned" if uploaded else "released"
            self._unnamed[cid] = _Entry(len(block), self._now_ms(), kind)
            self._name_again(cid)
        return cid

    def get(self, cid: str) -> bytes:
        digest_of(cid)
        if cid in self._unnamed:  # else no lock: while a put waits for Kubo, reading goes on
            self._name_again(cid)
        if cid not in self._held:
            raise BlockMissing(cid)
        block = self._load(cid)
        if block is not None and cid_of(block) == cid:
            return block
        with self._mutex:  # a put may have repaired it since: look again before it goes
            block = self._load(cid)
            if block is not None and cid_of(block) == cid:
                return block
            self._lose(cid)
            if block is None:
                raise BlockMissing(cid)
            # Kubo does not write over a block that it has: a bad one must go, or it could never be replaced.
            self._remove(cid)
            _log.error("block %s is corrupt in Kubo and was removed from it", cid)
            raise BlockCorrupt(cid)

    def has(self, cid: str) -> bool:
        digest_of(cid)
        return cid in self._held

    def pin(self, cid: str) -> None:
        digest_of(cid)
        with self._mutex:
            self._name_again(cid)
            entry = self._held.get(cid)
            if entry is None:
                raise BlockMissing(cid)
            if not entry.pinned:
                self._name(cid, replace(entry, kind="pinned"))

    def pin_many(self, cids: Sequence[str]) -> list[str]:
        for cid in cids:
            digest_of(cid)
        missing = []
        for cid in dict.fromkeys(cids):  # Kubo has a call for each: names differ
            try:
                self.pin(cid)
            except BlockMissing:
                missing.append(cid)
        return missing

    def unpin(self, cid: str, done_s: float = inf) -> None:
        digest_of(cid)
        with self._mutex:
            self._lost_pins.discard(cid)
            entry = self._held.get(cid)
            if entry is None or (entry.kind == "unpinned" and entry.since_ms > 1000 * done_s):
                return
            if entry.kind != "released":
                self._name(cid, replace(entry, kind="released", since_ms=self._now_ms()))

    def is_pinned(self, cid: str) -> bool:
        digest_of(cid)
        entry = self._held.get(cid)
        return cid in self._lost_pins or (entry is not None and entry.pinned)

    def pins(self) -> list[str]:
        with self._mutex:
            held = {cid for cid, entry in self._held.items() if entry.pinned}
            return sorted(held | self._lost_pins)

    def cids(self) -> list[str]:
        with self._mutex:
            return sorted(self._held)

    def is_let_go(self, cid: str) -> bool:
        digest_of(cid)
        entry = self._held.get(cid)
        return entry is not None and entry.kind == "released"

    def delete_unpinned(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        return self._delete(self._loose, older_than_s, now_s, wanted)

    def delete_let_go(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        return self._delete(self._let_go, older_than_s, now_s, wanted)

    def discard(self, cid: str, wanted: Callable[[str], bool]) -> None:
        digest_of(cid)
        with self._mutex:
            entry = self._held.get(cid)
            if entry is not None and not entry.pinned and not wanted(cid):
                self._remove(cid)
                self._drop(cid)

    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in list(self._held.values()))

    def unpinned_bytes(self) -> int:
        # No lock: an event loop asks, and a put holds the lock while Kubo works.
        self._held  # noqa: B018  (raises while nobody knows)
        return self._loose.total_bytes

    def _delete(
        self, kind: Loose, older_than_s: float, now_s: float, wanted: Callable[[str], bool]
    ) -> list[str]:
        """Those of ``kind`` whose grace period started so long ago. Others have the lock in between."""
        with self._mutex:
            for cid in sorted(self._unnamed):
                self._name_again(cid)
            self._held  # noqa: B018  (raises while nobody knows)
            old = kind.old(older_than_s, now_s)
        deleted = []
        for cid in old:
            with self._mutex:
                if kind.is_old(cid, older_than_s, now_s) and not wanted(cid):
                    self._remove(cid)
                    self._drop(cid)
                    deleted.append(cid)
        return deleted

    def _count(self, cid: str, entry: _Entry) -> None:
        for kind, counted in (("unpinned", self._loose), ("released", self._let_go)):
            if entry.kind == kind:
                counted.set(cid, entry.size_bytes, entry.since_ms / 1000)
            else:
                counted.drop(cid)

    def _drop(self, cid: str) -> _Entry | None:
        self._loose.drop(cid)
        self._let_go.drop(cid)
        return self._held.pop(cid, None)

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)

    def _is_good(self, cid: str) -> bool:
        """Whether Kubo serves the block whole; where it does not, it is no longer held afterwards."""
        try:
            self.get(cid)
        except (BlockMissing, BlockCorrupt):
            return False
        return True

    def _write(self, cid: str, block: bytes) -> None:
        parameters = {"cid-codec": "raw", "mhtype": "sha2-256", "pin": "true"}
        reply = self._ask("block/put", parameters, {"data": ("block", block)})
        if reply.get("Key") != cid:
            raise StoreUnreachable(self._where, "Kubo stored a block under another CID")

    def _load(self, cid: str) -> bytes | None:
        """What Kubo has under ``cid`` itself (it asks no peers), unchecked; None where it says that it has nothing.

        A full disk, too many open files, a repository that is locked: all that is no absence. Raises StoreUnreachable.
        """
        with self._call("block/get", {"arg": cid, "offline": "true"}) as response:
            if _failure(response).endswith(_NOT_FOUND + cid):
                return None
            self._expect_ok(response)
            return _read(response, MAX_BLOCK_BYTES + 1)

    def _name(self, cid: str, entry: _Entry) -> None:
        """Write ``entry`` into the name of the block's pin in Kubo, then here."""
        self._ask("pin/add", {"arg": cid, "name": entry.name(), "offline": "true"})
        self._held[cid] = entry
        self._count(cid, entry)

    def _name_again(self, cid: str) -> None:
        """Name the pin of a block that was put, where that is still to be done. Raises StoreUnreachable."""
        with self._mutex:
            entry = self._unnamed.get(cid)
            if entry is not None:
                self._name(cid, entry)
                del self._unnamed[cid]
                self._lost_pins.discard(cid)

    def _lose(self, cid: str) -> None:
        entry = self._drop(cid)
        if entry is not None and entry.pinned:
            self._lost_pins.add(cid)

    def _remove(self, cid: str) -> None:
        """Unpin and delete in Kubo. A block that others pinned through a tree of theirs stays; that is their affair."""
        with self._call("pin/rm", {"arg": cid}) as response:
            if not _failure(response).startswith(_NOT_PINNED):
                self._expect_ok(response)
        with self._call("block/rm", {"arg": cid, "force": "true"}) as response:
            self._expect_ok(response)

    def _scan(self) -> Iterator[tuple[str, _Entry]]:
        """Our pins among Kubo's."""
        with self._call("pin/ls", {"type": "recursive", "names": "true", "stream": "true"}) as response:
            self._expect_ok(response)
            for line in response.iter_lines():
                pin = self._object(line)
                match = _NAME.fullmatch(str(pin.get("Name", "")))
                cid = str(pin.get("Cid", ""))
                if not cid:
                    raise StoreUnreachable(self._where, "Kubo's list of pins broke off")
                if match and is_cid(cid):
                    kind, since_ms, size_bytes = match.groups()
                    yield cid, _Entry(int(size_bytes), int(since_ms), cast(_Kind, kind))

    def _ask(
        self, command: str, parameters: dict[str, str], files: dict[str, tuple[str, bytes]] | None = None
    ) -> dict[str, object]:
        with self._call(command, parameters, files) as response:
            self._expect_ok(response)
            return self._object(_read(response, _MAX_REPLY_BYTES))

    @contextmanager
    def _call(
        self, command: str, parameters: dict[str, str], files: dict[str, tuple[str, bytes]] | None = None
    ) -> Iterator[httpx.Response]:
        try:
            with self._client.stream("POST", f"/api/v0/{command}", params=parameters, files=files) as response:
                yield response
        except (httpx.HTTPError, UnicodeError) as error:  # the latter of a redirection to no host
            raise StoreUnreachable(self._where, f"{command}: {type(error).__name__}") from error

    def _expect_ok(self, response: httpx.Response) -> None:
        if response.status_code != HTTPStatus.OK:
            command = response.url.path.removeprefix("/api/v0/")
            raise StoreUnreachable(self._where, f"{command}: HTTP {response.status_code}")

    def _object(self, text: str | bytes) -> dict[str, object]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise StoreUnreachable(self._where, "Kubo's answer is not what its API promises")
        return value


def _read(response: httpx.Response, limit_bytes: int) -> bytes:
    """At most the first ``limit_bytes`` of the body; the connection is dropped with what is left."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) >= limit_bytes:
            break
    return bytes(body[:limit_bytes])


def _failure(response: httpx.Response) -> str:
    """What Kubo says of a command that failed; empty where it did not, or where it says nothing in its form."""
    if response.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
        return ""
    try:
        value = json.loads(_read(response, _MAX_REPLY_BYTES))
    except (ValueError, RecursionError):
        return ""
    message = value.get("Message") if isinstance(value, dict) else None
    return message if isinstance(message, str) else ""
