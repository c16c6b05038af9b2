"""An identity's own vaults, by its proved list (docs/spec/concerns.md), each entry of which is read once.

Entries never change, and a vault that is closed stays so. So a home keeps how far the list was read and which vaults
stand in it, and goes on from there, at no lower height. It is worth no more than that: who loses it reads all again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from abci_app.limits import ID_BYTES, MAX_HEIGHT
from abci_app.pb.dta.v1 import concern_pb2, custody_pb2
from abci_app.state.records import VAULTS
from dta.base.errors import NotVerified, UsageError
from dta.base.jsonfile import JsonFile
from dta.client import kept
from dta.client.custody.session import Session
from dta.client.ledger import leaves

FORMAT: Final = "dta-own-vaults-1"
_WHAT: Final = "what was read of a list of vaults"
_MAX_ENTRIES: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class OwnVaults:
    """The vaults in the first ``last`` entries of the list of ``identity``, as it was at ``height``: the oldest first.

    ``over``: those that were found closed for good.
    """

    gid: bytes
    identity: bytes
    last: int = 0
    height: int = 0
    vaults: tuple[bytes, ...] = ()
    over: frozenset[bytes] = frozenset()


def every(session: Session) -> tuple[bytes, ...]:
    """All vaults whose principal the session's party is, the oldest first: whole, or NotVerified is raised."""
    return read(session).vaults


def opened(session: Session, known: OwnVaults) -> Iterator[bytes]:
    """Those of the ``known`` that are open now, each proved by its leaf as it is asked for."""
    now = known
    for vault in known.vaults:
        if vault in known.over:
            continue
        record = session.ledger.get(leaves.of(VAULTS, vault), at_least=known.height)
        if record.status == custody_pb2.VAULT_STATUS_OPEN:
            yield vault
        elif record.status == custody_pb2.VAULT_STATUS_CLOSED:
            now = replace(now, over=now.over | {vault})
            _save(session.directory, now)


def read(session: Session) -> OwnVaults:
    """All of them, whole at its height. It is kept page by page: whose time is over goes on from there the next time.

    Raises NotVerified where a node leaves one out, and what reads raise.
    """
    now = _load(session.directory, session.gid, session.party.identity)
    while True:
        page = session.ledger.concerns_page(now.identity, now.last, at_least=now.height)
        new = [entry.subject for entry in page.entries if entry.kind == concern_pb2.CONCERN_KIND_VAULT]
        vaults = (*now.vaults, *new)
        if len(set(vaults)) != len(vaults):
            raise NotVerified(
                "whole", f"two entries of what concerns {now.identity.hex()} are for one vault",
                hint="the ledger itself is broken: report it", data={"identity": now.identity.hex()},
            )  # fmt: skip
        now = replace(now, last=page.last, height=page.height, vaults=vaults)
        if page.entries:
            _save(session.directory, now)
        if page.is_whole:
            return now


def path_of(directory: Path, identity: bytes) -> Path:
    """Where a home keeps it."""
    return directory / "own-vaults" / f"{identity.hex()}.json"


def _load(directory: Path, gid: bytes, identity: bytes) -> OwnVaults:
    found = kept.load(path_of(directory, identity), _WHAT, _parse)
    return found if found and (found.gid, found.identity) == (gid, identity) else OwnVaults(gid, identity)


def _save(directory: Path, known: OwnVaults) -> None:
    content = {
        "format": FORMAT, "gid": known.gid.hex(), "identity": known.identity.hex(), "last": known.last,
        "height": known.height, "vaults": [{"vault": one.hex(), "over": one in known.over} for one in known.vaults],
    }  # fmt: skip
    with suppress(UsageError):  # a home that can't be written reads it again, no more
        kept.save(path_of(directory, known.identity), content)


def _parse(content: bytes) -> OwnVaults:
    file = JsonFile.parse(content, _WHAT, FORMAT)
    file.only("gid", "identity", "last", "height", "vaults")
    entries = file.entries("vaults", _MAX_ENTRIES)
    for one in entries:
        one.only("vault", "over")
    return OwnVaults(
        gid=file.hex("gid", ID_BYTES), identity=file.hex("identity", ID_BYTES),
        last=file.number("last", 0, _MAX_ENTRIES), height=file.number("height", 0, MAX_HEIGHT),
        vaults=tuple(one.hex("vault", ID_BYTES) for one in entries),
        over=frozenset(one.hex("vault", ID_BYTES) for one in entries if one.flag("over")),
    )  # fmt: skip
