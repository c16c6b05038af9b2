"""What goes into the state machine and what comes out of it: plain values, no wire types.

The server translates ABCI messages to these and back; the simulation builds them directly.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """Block time: seconds since the Unix epoch and nanoseconds (0 <= nanos < 1e9)."""

    seconds: int
    nanos: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """What doors index: ``kind`` is the event's type, ``attributes`` are (key, value) pairs of ASCII text."""

    kind: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TxResult:
    """One transaction's result. ``code``, ``data`` and both gas figures enter the results hash; the rest does not.

    ``reason``: which of the checks with this code refused (:class:`abci_app.errors.Refusal`); ABCI's ``info``.
    """

    code: int
    data: bytes = b""
    log: str = ""
    gas_wanted: int = 0
    gas_used: int = 0
    events: tuple[Event, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ValidatorUpdate:
    """A consensus key (Ed25519, 32 bytes) and its new voting power; power 0 removes it."""

    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Evidence that CometBFT collected. ``kind``: 1 duplicate vote, 2 light client attack. ``address``: 20 bytes."""

    kind: int
    address: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Block:
    """A decided block as FinalizeBlock sees it."""

    height: int
    time: Time
    txs: tuple[bytes, ...] = ()
    proposer_address: bytes = b""
    misbehaviour: tuple[Misbehaviour, ...] = ()


@dataclass(frozen=True, slots=True)
class Genesis:
    """InitChain's input. ``app_state`` is the JSON as CometBFT passes it (re-encoded by it: never hash these bytes)."""

    chain_id: str
    time: Time
    initial_height: int
    validators: tuple[ValidatorUpdate, ...]
    app_state: bytes


@dataclass(frozen=True, slots=True)
class Changes:
    """What a block changes. Both lists are sorted by key and name each key once; ``None`` deletes.

    ``leaves`` are authenticated (they enter the tree and so the app hash); ``index`` is not: each entry of it can
    be rebuilt from leaves.
    """

    leaves: tuple[tuple[bytes, bytes | None], ...] = ()
    index: tuple[tuple[bytes, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What FinalizeBlock answers (but for the app hash, which is the tree's over ``changes``)."""

    changes: Changes
    tx_results: tuple[TxResult, ...] = ()
    events: tuple[Event, ...] = ()
    validator_updates: tuple[ValidatorUpdate, ...] = field(default=())
