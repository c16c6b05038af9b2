"""What a kind of proposal declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import governance_pb2 as pb

M = TypeVar("M", bound=Message)


def _executing(_message: Message) -> int:
    """Most executions write a few records."""
    return 500


def _proposing(_message: Message) -> int:
    """Most proposals look at a few records."""
    return 400


def _nobody(_message: Message) -> Sequence[bytes]:
    """Most proposals are about no identity."""
    return ()


def _no_note(_context: Context, _message: Message, _record: pb.ProposalRecord) -> None:
    """Most proposals say all in their action."""


@dataclass(frozen=True, slots=True)
class Action(Generic[M]):
    """One kind of proposal.

    ``validate`` sees the message alone. ``check`` sees state: when it is proposed (so that nobody votes on what can't
    be), and ``execute`` begins by calling it again, for state may have changed. ``execute`` runs at the end of the
    block in which the proposal passed, with ``tx_hash`` the deciding vote's and ``signer`` the proposer. What either
    refuses is rolled back; the refusal's code becomes the proposal's ``failure_code``. ``note`` adds to a new
    proposal's record what voters should know. ``urgent``: it is executed first, outside a block's budget for upkeep, in
    which others cost about ``cost(message)`` microseconds. ``proposing_cost(message)``: about those that proposing it
    takes. ``codes`` are those that ``validate`` and ``check`` may refuse with. ``about``: the identities that it is
    about, which learn of it when it is proposed, and for which it is charged besides (docs/spec/concerns.md).
    """

    field: str
    message: type[M]
    validate: Callable[[M], None]
    check: Callable[[Context, M], None]
    execute: Callable[[Context, M], None]
    codes: tuple[Code, ...]
    changes_validators: bool = False
    urgent: bool = False
    cost: Callable[[M], int] = _executing
    proposing_cost: Callable[[M], int] = _proposing
    note: Callable[[Context, M, pb.ProposalRecord], None] = _no_note
    about: Callable[[M], Sequence[bytes]] = _nobody
