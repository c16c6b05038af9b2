"""Which transitions exist: one table for each thing that has a life (docs/spec/custody.md)."""

from __future__ import annotations

from typing import Final

from abci_app.execution.transitions import Transitions
from abci_app.pb.dta.v1 import custody_pb2 as pb

VAULT: Final = Transitions(pb.VaultStatus, {
    pb.VAULT_STATUS_OPEN: (pb.VAULT_STATUS_CLOSING,),
    pb.VAULT_STATUS_CLOSING: (pb.VAULT_STATUS_OPEN, pb.VAULT_STATUS_CLOSED),
    pb.VAULT_STATUS_CLOSED: (),
})

ORDER: Final = Transitions(pb.OrderStatus, {
    pb.ORDER_STATUS_PLACED: (
        pb.ORDER_STATUS_ACTIVE, pb.ORDER_STATUS_CLOSED, pb.ORDER_STATUS_EXPIRED, pb.ORDER_STATUS_FAILED,
    ),
    pb.ORDER_STATUS_ACTIVE: (pb.ORDER_STATUS_CLOSED, pb.ORDER_STATUS_EXPIRED),
    pb.ORDER_STATUS_CLOSED: (),
    pb.ORDER_STATUS_EXPIRED: (),
    pb.ORDER_STATUS_FAILED: (),
})  # fmt: skip

REQUEST: Final = Transitions(pb.RequestStatus, {
    pb.REQUEST_STATUS_PENDING: (
        pb.REQUEST_STATUS_GRANTED, pb.REQUEST_STATUS_VETOED, pb.REQUEST_STATUS_EXPIRED, pb.REQUEST_STATUS_CANCELLED,
    ),
    pb.REQUEST_STATUS_GRANTED: (
        pb.REQUEST_STATUS_COMPLETED, pb.REQUEST_STATUS_VETOED, pb.REQUEST_STATUS_EXPIRED, pb.REQUEST_STATUS_CANCELLED,
    ),
    pb.REQUEST_STATUS_COMPLETED: (),
    pb.REQUEST_STATUS_VETOED: (),
    pb.REQUEST_STATUS_EXPIRED: (),
    pb.REQUEST_STATUS_CANCELLED: (),
})  # fmt: skip


def move_vault(vault: pb.VaultRecord, to: pb.VaultStatus) -> None:
    """Change the status, if the table has it."""
    VAULT.check(vault.status, to)
    vault.status = to


def move_order(order: pb.OrderRecord, to: pb.OrderStatus) -> None:
    """Change the status, if the table has it."""
    ORDER.check(order.status, to)
    order.status = to


def move_request(request: pb.RequestRecord, to: pb.RequestStatus) -> None:
    """Change the status, if the table has it."""
    REQUEST.check(request.status, to)
    request.status = to
