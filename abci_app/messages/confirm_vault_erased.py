"""ConfirmVaultErased: a fiduciary's hook attests that its keystore does not hold the vault's key any more."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import vaults
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, DUE, FIDUCIARY_VAULTS
from abci_app.state.records import COUNTERS, VAULT_KEYS, VAULTS


def _execute(context: Context, message: tx_pb2.ConfirmVaultErased) -> bytes:
    vault = vaults.get(context, message.vault)
    context.require(context.signer in vault.fiduciaries, Code.NOT_NAMED, context.signer.hex(), reason="erasure")
    record = VAULT_KEYS.find(context.state, vault.id, context.signer) or custody_pb2.VaultKeyRecord()
    context.require(not record.erased_height, Code.ALREADY_DONE, reason="erased")
    context.require(vaults.is_closed(vault, context), Code.VAULT_NOT_CLOSED, vault.id.hex())
    record.erased_height = context.height
    record.erased_tx, record.erased_tx_item = context.tx_hash, context.item
    # What one keystore says is no word about another, which may have been replaced and still have the key.
    record.keystore_replaced = bool(record.published_height) and record.published_by != vaults.node_key(context)
    VAULT_KEYS.put(context.state, record, vault.id, context.signer)
    vault.erased += not record.keystore_replaced
    if vault.status == custody_pb2.VAULT_STATUS_CLOSING:
        vaults.record_closed(context, vault)
    VAULTS.put(context.state, vault, vault.id)
    due.remove(context.state, context.signer, DueKind.ERASE_VAULT, vault.id)
    what = "keystore-replaced" if record.keystore_replaced else "key-erased"
    vaults.emit(context, vault, what, fiduciary=context.signer)
    context.emit("fiduciary", context.signer, f"vault-{what}", vault=vault.id)
    return b""


SPEC = MessageSpec(
    field="confirm_vault_erased",
    message=tx_pb2.ConfirmVaultErased,
    message_class=MessageClass.RESULT,
    cost=lambda _: 300,
    validate=lambda message: need_bytes(message.vault, limits.ID_BYTES, "vault"),
    execute=_execute,
    due=lambda message: (DueKind.ERASE_VAULT, message.vault),
    writes=(
        VAULTS, VAULT_KEYS, COUNTERS, DUE, DEADLINE_TIME, DEADLINE_HEIGHT,
        FIDUCIARY_VAULTS,
    ),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_VAULT, Code.NOT_NAMED, Code.ALREADY_DONE, Code.VAULT_NOT_CLOSED),
    events=(events.VAULT_KEY_BY, events.VAULT),
)  # fmt: skip
