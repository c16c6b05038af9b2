"""What a message executes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from abci_app.block import Event, Time, ValidatorUpdate
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.events import event
from abci_app.pb.dta.v1 import identity_pb2, params_pb2
from abci_app.state.overlay import Overlay


@dataclass(slots=True)
class BlockScratch:
    """What a block counts while it executes: in no leaf, gone at its end."""

    cost: int = 0
    registrations: list[bytes] = field(default_factory=list)
    """Those that succeeded: each one's sponsor, empty where it registered itself."""
    rotated: list[bytes] = field(default_factory=list)
    txs_of: dict[bytes, int] = field(default_factory=dict)
    validator_updates: list[ValidatorUpdate] = field(default_factory=list)
    voted: dict[bytes, bytes] = field(default_factory=dict)
    """Proposals to count at the block's end, in order, and the last transaction that voted on each."""


@dataclass(slots=True)
class Context:
    """One transaction, authenticated, in one block. ``identity`` is the signer's record, None while it registers."""

    state: Overlay
    params: params_pb2.Params
    gid: bytes
    height: int
    time: Time
    scratch: BlockScratch
    signer: bytes = b""
    identity: identity_pb2.IdentityRecord | None = None
    tx_hash: bytes = b""
    events: list[Event] = field(default_factory=list)

    @property
    def time_s(self) -> int:
        """Block time in whole seconds: what every deadline is compared with."""
        return self.time.seconds

    def emit(self, kind: str, id_: bytes, action: str, **attributes: bytes | int | str) -> None:
        """Add an event; see :func:`abci_app.events.event`."""
        self.events.append(event(kind, id_, action, **attributes))

    def emit_named(self, fiduciaries: Sequence[bytes], action: str, **attributes: bytes) -> None:
        """One event that a search by any of the named fiduciaries finds: its attribute ``id`` repeats."""
        ids = tuple(("id", fiduciary.hex()) for fiduciary in fiduciaries)
        rest = tuple((name, value.hex()) for name, value in attributes.items())
        self.events.append(Event("fiduciary", (*ids, ("action", action), *rest)))

    def require(self, condition: object, code: Code, detail: str = "") -> None:
        """Refuse with ``code`` unless ``condition`` holds."""
        if not condition:
            raise Refusal(code, detail)
