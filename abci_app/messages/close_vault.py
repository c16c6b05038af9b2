"""CloseVault: after a delay the fiduciaries destroy the vault's keys. CancelCloseVault stops it before."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import lifecycle, vaults
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE, VAULT_ORDERS
from abci_app.state.records import VAULTS
from abci_app.state.view import StateView


def _execute(context: Context, message: tx_pb2.CloseVault) -> bytes:
    vault = vaults.get(context, message.vault)
    context.require(vault.principal == context.signer, Code.NOT_PRINCIPAL, reason="close-vault")
    context.require(
        vault.status == custody_pb2.VAULT_STATUS_OPEN, Code.VAULT_NOT_OPEN, vault.id.hex(), reason="close-vault"
    )
    open_orders = VAULT_ORDERS.has_any(context.state, vault.id)
    context.require(not open_orders, Code.VAULT_HAS_OPEN_ORDERS, vault.id.hex())
    lifecycle.move_vault(vault, custody_pb2.VAULT_STATUS_CLOSING)
    vault.closes_at_time_s = context.time_s + context.params.close_vault_delay_s
    vault.closes_at_height = context.height + context.params.close_vault_delay_blocks
    vault.closing_height = context.height
    vault.closing_tx = context.tx_hash
    VAULTS.put(context.state, vault, vault.id)
    vaults.remember_deadline(context, vault)
    for fiduciary in vault.fiduciaries:
        # One that never published may have made its key all the same: everybody named erases.
        due.remove(context.state, fiduciary, DueKind.PUBLISH_VAULT_KEY, vault.id)
        due.add(
            context.state, fiduciary, DueKind.ERASE_VAULT, vault.id, vault.closes_at_time_s, vault.closes_at_height
        )
    vaults.emit(context, vault, "closing", closes_at_time_s=vault.closes_at_time_s)
    return b""


def _decides(view: StateView, signer: bytes, message: tx_pb2.CloseVault) -> bytes | None:
    vault = VAULTS.read(view, message.vault)
    named = vault is not None and vault.principal == signer and vault.status == custody_pb2.VAULT_STATUS_OPEN
    return vault.id if vault is not None and named else None


SPEC = MessageSpec(
    field="close_vault",
    message=tx_pb2.CloseVault,
    message_class=MessageClass.USER,
    cost=lambda _: 500,
    validate=lambda message: need_bytes(message.vault, limits.ID_BYTES, "vault"),
    execute=_execute,
    decides=_decides,
    writes=(VAULTS, DUE, DEADLINE_TIME),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_VAULT, Code.NOT_PRINCIPAL, Code.VAULT_NOT_OPEN,
           Code.VAULT_HAS_OPEN_ORDERS),
    events=(events.VAULT,),
)  # fmt: skip
