"""PublishVaultKey: a fiduciary's hook made the vault's key in its HSM and publishes its public half."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.crypto import hpke
from abci_app.custody import vaults
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.records import VAULT_KEYS, VAULTS


def _validate(message: tx_pb2.PublishVaultKey) -> None:
    need_bytes(message.vault, limits.ID_BYTES, "vault")
    if not hpke.valid_key(message.key):
        raise Refusal(Code.BAD_HPKE_KEY)


def _execute(context: Context, message: tx_pb2.PublishVaultKey) -> bytes:
    vault = vaults.get(context, message.vault)
    context.require(context.signer in vault.fiduciaries, Code.NOT_NAMED, context.signer.hex(), reason="vault-key")
    published = VAULT_KEYS.find(context.state, vault.id, context.signer) is not None
    context.require(not published, Code.ALREADY_DONE, reason="vault-key")
    context.require(
        vault.status == custody_pb2.VAULT_STATUS_OPEN, Code.VAULT_NOT_OPEN, vault.id.hex(), reason="vault-key"
    )
    record = custody_pb2.VaultKeyRecord(
        key=message.key, published_height=context.height, published_tx=context.tx_hash,
        published_tx_item=context.item, published_by=vaults.node_key(context),
    )  # fmt: skip
    VAULT_KEYS.put(context.state, record, vault.id, context.signer)
    vault.published += 1
    VAULTS.put(context.state, vault, vault.id)
    due.remove(context.state, context.signer, DueKind.PUBLISH_VAULT_KEY, vault.id)
    vaults.emit(context, vault, "key-published", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "vault-key-published", vault=vault.id)
    return b""


SPEC = MessageSpec(
    field="publish_vault_key",
    message=tx_pb2.PublishVaultKey,
    message_class=MessageClass.RESULT,
    cost=lambda _: 300,
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.PUBLISH_VAULT_KEY, message.vault),
    writes=(VAULTS, VAULT_KEYS, DUE),
    codes=(Code.FIELD_INVALID, Code.BAD_HPKE_KEY, Code.UNKNOWN_VAULT, Code.NOT_NAMED, Code.ALREADY_DONE,
           Code.VAULT_NOT_OPEN),
    events=(events.VAULT_KEY_BY, events.VAULT),
)  # fmt: skip
