"""Who is at work, with what: the ledger, the keys that sign, the envelopes, and how waiting is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from abci_app.codes import Code
from dta.base.errors import JsonValue, RefusedByLedger, TimedOut, UsageError
from dta.client.custody.blocks import Blocks
from dta.client.ledger.flow import elapsed_s, wall_time_s
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.submit import Committed
from dta.client.ledger.tx import Signer
from dta.crypto.bls import BlsSigner
from dta.hsm.keystore import Keystore

T = TypeVar("T")

POLL_S = 1.0
LOOK_PART = 0.1
"""Of the time that somebody waits already: a node is asked for its height so often. Who waits long asks seldom."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where something that takes a while has come to. ``done`` of ``total``; 0 of 0 where nothing is counted."""

    stage: str
    message: str
    done: int = 0
    total: int = 0


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """Shows nothing."""
    del step


@dataclass(frozen=True, slots=True)
class Party:
    """An identity and its keys. ``signer`` signs transactions and uploads.

    ``bls`` signs envelopes (placing, requesting); ``root`` gives the keystore whose PRF key seals a request's keys in
    the home until they are used. Approving and closing need neither, and open no keystore for them.
    """

    signer: Signer
    bls: BlsSigner | None = None
    root: Callable[[], Keystore] | None = None

    @property
    def identity(self) -> bytes:
        """The 32-byte identity id."""
        return self.signer.identity

    def need_bls(self) -> BlsSigner:
        """The BLS key. Raises UsageError where this party has none."""
        if self.bls is None:
            raise UsageError("this identity has no BLS key here", hint="use the home that made the identity")
        return self.bls

    def need_root(self) -> Keystore:
        """The keystore of the root. Raises UsageError where this party has none."""
        if self.root is None:
            raise UsageError("this identity has no root key here", hint="use the home that made the identity")
        return self.root()


@dataclass(frozen=True, slots=True)
class Session:
    """What every flow takes. ``directory``: where orders and requests that this home made are kept (mode 0700)."""

    ledger: Ledger
    party: Party
    blocks: Blocks
    directory: Path
    progress: Progress = field(default=silent)

    @property
    def gid(self) -> bytes:
        """The ledger's genesis id, 32 bytes."""
        return self.ledger.trust.gid

    def now_s(self) -> int:
        """Unix seconds by the local clock."""
        return int(self.ledger.rpc.run(wall_time_s()))

    def send(self, message: Message) -> Committed:
        """Signs and submits until committed with code 0. Raises RefusedByLedger, TimedOut, Expired, Unreachable."""
        return self.ledger.send(self.party.signer, message)

    def height_of(self, refused: RefusedByLedger) -> int:
        """Where it can be proved what the ledger had when it refused: of a duplicate that no block has, what is there
        in the node's newest one, which the next proves."""
        if refused.height is None and refused.code == Code.DUPLICATE:
            return self.ledger.status().latest_height
        return refused.height or 0

    def gateways(self, fiduciaries: Iterable[bytes]) -> dict[bytes, list[str]]:
        """The base URLs of each fiduciary's gateways, from its proved identity record."""
        return {id_: list(record.gateways) for id_, record in self.ledger.identities(fiduciaries).items()}

    def wait_for(
        self, read: Callable[[], T], done: Callable[[T], bool], show: Callable[[T], Step], timeout_s: float
    ) -> tuple[T, bool]:
        """Reads again with each block until ``done``, or the time is over: the last reading, and whether it was done.

        Each change is shown once. The time that reading takes counts. A read that times out ends the waiting with its
        own error.
        """
        began_s, shown = self.ledger.rpc.run(elapsed_s()), None
        while True:
            value = read()
            step = show(value)
            if step != shown:
                self.progress(step)
                shown = step
            if done(value):
                return value, True
            waited_s = self.ledger.rpc.run(elapsed_s()) - began_s
            if waited_s >= timeout_s:
                return value, False
            self.ledger.next_block(POLL_S, waited_s * LOOK_PART)


def timed_out(what: str, hint: str, **data: JsonValue) -> TimedOut:
    """The error for a wait that ended without what it waited for."""
    return TimedOut(what, hint=hint, data=data)
