"""What a message executes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from abci_app.block import Event, Time, ValidatorUpdate
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.events import event
from abci_app.pb.dta.v1 import identity_pb2, params_pb2
from abci_app.state.as_of import Moment
from abci_app.state.overlay import Overlay


@dataclass(slots=True)
class BlockScratch:
    """What a block counts while it executes: in no leaf, gone at its end.

    What a transaction that fails has cost, and that its signer sent one, stays counted; the rest is undone with it.
    """

    cost: int = 0
    upkeep_cost: int = 0
    txs_of: dict[bytes, int] = field(default_factory=dict)
    registrations: list[bytes] = field(default_factory=list)
    """Those that succeeded: each one's sponsor, empty where it registered itself."""
    rotated: list[bytes] = field(default_factory=list)
    validator_updates: list[ValidatorUpdate] = field(default_factory=list)
    voted: list[tuple[bytes, bytes]] = field(default_factory=list)
    """(proposal, transaction) of each vote: proposals to count at the block's end, in their order."""


class Mark(NamedTuple):
    """What :meth:`Context.undo` goes back to."""

    writes: int
    events: int
    registrations: int
    rotated: int
    validator_updates: int
    voted: int


@dataclass(slots=True)
class Context:
    """One transaction, authenticated, in one block. ``identity`` is the signer's record, None while it registers.

    ``item``: which result of a bundle it is, from 0; records name it beside the transaction.
    """

    state: Overlay
    params: params_pb2.Params
    gid: bytes
    height: int
    time: Time
    scratch: BlockScratch
    signer: bytes = b""
    identity: identity_pb2.IdentityRecord | None = None
    tx_hash: bytes = b""
    item: int = 0
    events: list[Event] = field(default_factory=list)

    @property
    def time_s(self) -> int:
        """Block time in whole seconds: what every deadline is compared with."""
        return self.time.seconds

    @property
    def moment(self) -> Moment:
        """What records' statuses are asked as of."""
        return Moment(self.height, self.time.seconds)

    def mark(self) -> Mark:
        """From here on :meth:`undo` undoes: writes, events, what the block counts. A mark within another is no harm."""
        scratch = self.scratch
        return Mark(
            writes=self.state.checkpoint(),
            events=len(self.events),
            registrations=len(scratch.registrations),
            rotated=len(scratch.rotated),
            validator_updates=len(scratch.validator_updates),
            voted=len(scratch.voted),
        )

    def undo(self, mark: Mark) -> None:
        """Everything is as it was at ``mark``."""
        scratch = self.scratch
        self.state.rollback(mark.writes)
        del self.events[mark.events :]
        del scratch.registrations[mark.registrations :]
        del scratch.rotated[mark.rotated :]
        del scratch.validator_updates[mark.validator_updates :]
        del scratch.voted[mark.voted :]

    def emit(self, kind: str, id_: bytes, action: str, **attributes: bytes | int | str) -> None:
        """Add an event; see :func:`abci_app.events.event`."""
        self.events.append(event(kind, id_, action, **attributes))

    def emit_named(self, fiduciaries: Sequence[bytes], action: str, **attributes: bytes) -> None:
        """One event that a search by any of the named fiduciaries finds: its attribute ``id`` repeats."""
        ids = tuple(("id", fiduciary.hex()) for fiduciary in fiduciaries)
        rest = tuple((name, value.hex()) for name, value in attributes.items())
        self.events.append(Event("fiduciary", (*ids, ("action", action), *rest)))

    def require(self, condition: object, code: Code, detail: str = "", *, reason: str = "") -> None:
        """Refuse with ``code`` unless ``condition`` holds. ``reason``: see :class:`Refusal`."""
        if not condition:
            raise Refusal(code, detail, reason=reason)
