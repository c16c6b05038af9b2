"""How far an identity's list was read, and what of it may still wait: so that each entry is read once.

Entries never change (docs/spec/concerns.md), and what is over stays over. So a reader keeps the number of the last
entry, the height at which it stood, and the entries whose records are not over; also of a reading that was cut. It is
worth no more than that: whoever loses it reads the list again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from abci_app import canonical
from abci_app.limits import ID_BYTES, MAX_HEIGHT
from abci_app.pb.dta.v1 import concern_pb2
from dta.base.jsonfile import JsonFile
from dta.client import kept
from dta.client.ledger.concerns import Concern

FORMAT: Final = "dta-inbox-1"
_WHAT: Final = "what was read of an inbox"
MAX_ENTRIES: Final = 2**32 - 1
_MAX_BYTES: Final = 1 << 30
"""Far above what an identity has that is not over: a file that is refused is one that all is read again for."""

_MAX_RECORD_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """An entry whose record may still wait for something.

    ``origin``: who brought the record about, once that was read: it never changes. Empty: the consortium, by vote.
    """

    entry: Concern
    origin: bytes = b""

    def is_outside(self, known: Collection[bytes]) -> bool:
        """Whether it comes from somebody who is not ``known``. What was not looked at yet does not, so that it is."""
        return bool(self.origin) and self.origin not in known


@dataclass(frozen=True, slots=True)
class Followed:
    """What was read of the list of ``identity`` on the ledger ``gid``: its first ``last`` entries, at ``height``."""

    gid: bytes
    identity: bytes
    last: int = 0
    height: int = 0
    open: tuple[OpenEntry, ...] = ()

    def is_further_than(self, other: Followed) -> bool:
        """Whether who goes on from it has less to read."""
        return self._read() > other._read()

    def _read(self) -> tuple[int, int, int]:
        return self.last, sum(bool(one.origin) for one in self.open) - len(self.open), self.height


def path_of(directory: Path, identity: bytes) -> Path:
    """Where a home keeps it."""
    return directory / "inbox" / f"{identity.hex()}.json"


def load(directory: Path, gid: bytes, identity: bytes) -> Followed:
    """What this home has read. From the beginning where it has no such file, or one that is not of this ledger."""
    found = kept.load(path_of(directory, identity), _WHAT, _parse, _MAX_BYTES)
    return found if found and (found.gid, found.identity) == (gid, identity) else Followed(gid, identity)


def save(directory: Path, followed: Followed) -> None:
    """Writes it. Raises UsageError where the home can't be written."""
    content = {
        "format": FORMAT, "gid": followed.gid.hex(), "identity": followed.identity.hex(), "last": followed.last,
        "height": followed.height,
        "open": [
            {
                "number": one.entry.number, "record": b64encode(canonical.encode(one.entry.record())).decode("ascii"),
                "origin": one.origin.hex(),
            }
            for one in followed.open
        ],
    }  # fmt: skip
    kept.save(path_of(directory, followed.identity), content)


def _parse(content: bytes) -> Followed:
    file = JsonFile.parse(content, _WHAT, FORMAT)
    file.only("gid", "identity", "last", "height", "open")
    return Followed(
        gid=file.hex("gid", ID_BYTES), identity=file.hex("identity", ID_BYTES),
        last=file.number("last", 0, MAX_ENTRIES), height=file.number("height", 0, MAX_HEIGHT),
        open=tuple(_open_entry(one) for one in file.entries("open", MAX_ENTRIES)),
    )  # fmt: skip


def _open_entry(file: JsonFile) -> OpenEntry:
    file.only("number", "record", "origin")
    try:
        record = canonical.decode(concern_pb2.ConcernRecord, file.base64("record"), _MAX_RECORD_BYTES)
    except (canonical.Malformed, canonical.NotCanonical):
        raise file.bad("record", "an entry as the ledger has it") from None
    entry = Concern.of(file.number("number", 1, MAX_ENTRIES), record)
    return OpenEntry(entry, file.hex("origin", ID_BYTES if file.text("origin") else 0))
