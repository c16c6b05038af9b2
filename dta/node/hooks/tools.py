"""What every job works with: committed state, the keystore, and whether something is still owed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from abci_app.state import due
from abci_app.state.as_of import Moment
from abci_app.state.view import StateView
from dta.crypto.scalar import SecretScalar
from dta.custodians.registry import Loaded
from dta.hsm.keystore import Keystore
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from dta.node.hooks.plan import Job


@dataclass(frozen=True, slots=True)
class Pinned:
    """Committed state at one height, and the time of that block (Unix seconds).

    ``proven`` is the same state, each leaf of it proved against the root of that height before it is given: what is
    read there is what the ledger decided, whatever the store under the application has lost.
    """

    view: StateView
    height: int
    time_s: int
    proven: StateView

    @property
    def next_block(self) -> Moment:
        """What this state's records are asked as of: the next block, no earlier than this one."""
        return Moment(self.height + 1, self.time_s)


ShareOf = Callable[[StateView, bytes, int], SecretScalar]
"""``share_of(view, authority, epoch)``: this node's share, opened from the ledger; kept in no file."""


def _no_shares(view: StateView, authority: bytes, epoch: int) -> SecretScalar:
    del view
    raise CannotAnswer(Obstacle.NO_SHARES, f"authority {authority.hex()}, epoch {epoch}")


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs work with.

    ``pin`` gives committed state, newly read, and raises :class:`dta.node.hooks.errors.NotAtHead` where it may be old.
    ``keystore`` gives the open keystore, or raises :class:`dta.node.hooks.errors.Retry` while there is none.
    ``share_of`` gives this node's share of an authority key; it may raise what the keystore does.
    """

    identity: bytes
    gid: bytes
    custodians: Loaded
    keystore: Callable[[], Keystore]
    pin: Callable[[], AbstractContextManager[Pinned]]
    share_of: ShareOf = _no_shares

    @contextmanager
    def pin_proven(self) -> Iterator[Pinned]:
        """As ``pin``, for what releases or destroys something: ``view`` is the proven one."""
        with self.pin() as now:
            yield replace(now, view=now.proven)


def require_due(job: Job, tools: Tools, now: Pinned) -> None:
    """Raise :class:`NotDue` unless state at ``now`` still says that we owe it."""
    if not due.is_due(now.view, tools.identity, job.kind, job.subject, now.time_s, now.height + 1):
        raise NotDue(str(job))
