"""CancelCloseVault: the principal changes its mind while the closing delay runs."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import lifecycle, vaults
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, DUE
from abci_app.state.records import VAULT_KEYS, VAULTS
from abci_app.state.view import StateView


def _execute(context: Context, message: tx_pb2.CancelCloseVault) -> bytes:
    vault = vaults.get(context, message.vault)
    context.require(vault.principal == context.signer, Code.NOT_PRINCIPAL, reason="cancel-closing")
    cancellable = vault.status == custody_pb2.VAULT_STATUS_CLOSING and not vaults.is_closed(vault, context)
    context.require(cancellable, Code.VAULT_NOT_CLOSING, vault.id.hex())
    vaults.forget_deadline(context, vault)
    lifecycle.move_vault(vault, custody_pb2.VAULT_STATUS_OPEN)
    vault.ClearField("closes_at_time_s")
    vault.ClearField("closes_at_height")
    vault.ClearField("waits_for_height")
    vault.ClearField("closing_height")
    vault.ClearField("closing_tx")
    VAULTS.put(context.state, vault, vault.id)
    for fiduciary in vault.fiduciaries:
        due.remove(context.state, fiduciary, DueKind.ERASE_VAULT, vault.id)
        if VAULT_KEYS.find(context.state, vault.id, fiduciary) is None:
            due.add(context.state, fiduciary, DueKind.PUBLISH_VAULT_KEY, vault.id)
    vaults.emit(context, vault, "close-cancelled")
    return b""


def _decides(view: StateView, signer: bytes, message: tx_pb2.CancelCloseVault) -> bytes | None:
    vault = VAULTS.read(view, message.vault)
    named = vault is not None and vault.principal == signer and vault.status == custody_pb2.VAULT_STATUS_CLOSING
    return vault.id if vault is not None and named else None


SPEC = MessageSpec(
    field="cancel_close_vault",
    message=tx_pb2.CancelCloseVault,
    message_class=MessageClass.USER,
    cost=lambda _: 500,
    validate=lambda message: need_bytes(message.vault, limits.ID_BYTES, "vault"),
    execute=_execute,
    decides=_decides,
    writes=(VAULTS, DUE, DEADLINE_TIME, DEADLINE_HEIGHT),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_VAULT, Code.NOT_PRINCIPAL, Code.VAULT_NOT_CLOSING),
    events=(events.VAULT,),
)
