"""OpenVault: a principal asks fiduciaries to make a key for a vault of its own (docs/spec/custody.md)."""

from __future__ import annotations

from abci_app import events, limits, text
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.custody import vaults
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import concerns, documents
from abci_app.params import find_custodian
from abci_app.pb.dta.v1 import concern_pb2, custody_pb2, params_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE, FIDUCIARY_VAULTS, PRINCIPAL_VAULTS
from abci_app.state.records import CONCERNS, COUNTERS, FIDUCIARIES, VAULTS


def _validate(message: tx_pb2.OpenVault) -> None:
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    if not text.is_label(message.custodian, limits.MAX_CUSTODIAN_CHARS):
        raise Refusal(Code.UNKNOWN_CUSTODIAN, "malformed name", reason="vault-name")
    named = list(message.fiduciaries)
    if not 1 <= len(named) <= limits.MAX_VAULT_FIDUCIARIES or len(dict.fromkeys(named)) != len(named):
        raise Refusal(
            Code.FIELD_INVALID, f"fiduciaries: 1 to {limits.MAX_VAULT_FIDUCIARIES}, each once",
            reason="vault-fiduciaries",
        )
    for fiduciary in named:
        need_bytes(fiduciary, limits.ID_BYTES, "fiduciaries")


def _execute(context: Context, message: tx_pb2.OpenVault) -> bytes:
    vault_id = statements.vault_id(context.gid, context.signer, message.nonce)
    context.require(VAULTS.find(context.state, vault_id) is None, Code.DUPLICATE, vault_id.hex(), reason="vault")
    custodian = find_custodian(context.params, message.custodian)
    known = custodian is not None and custodian.verifier == params_pb2.VERIFIER_NONE
    context.require(known, Code.UNKNOWN_CUSTODIAN, message.custodian, reason="vault")
    for fiduciary in message.fiduciaries:
        known_fiduciary = FIDUCIARIES.find(context.state, fiduciary) is not None
        context.require(known_fiduciary, Code.UNKNOWN_FIDUCIARY, fiduciary.hex(), reason="vault")
        active = documents.is_active_fiduciary(context.state, fiduciary, context.time_s)
        context.require(active, Code.FIDUCIARY_NOT_ACTIVE, fiduciary.hex(), reason="vault")
    counter = COUNTERS.find(context.state, context.signer) or custody_pb2.CounterRecord(identity=context.signer)
    context.require(
        counter.open_vaults < context.params.max_open_vaults_per_identity, Code.TOO_MANY, "open vaults",
        reason="open-vaults",
    )
    counter.open_vaults += 1
    counter.vaults += 1
    COUNTERS.put(context.state, counter, context.signer)
    vault = custody_pb2.VaultRecord(
        id=vault_id, principal=context.signer, custodian=message.custodian, fiduciaries=message.fiduciaries,
        status=custody_pb2.VAULT_STATUS_OPEN, opened_height=context.height, opened_tx=context.tx_hash,
    )  # fmt: skip
    VAULTS.put(context.state, vault, vault_id)
    PRINCIPAL_VAULTS.put(context.state, context.signer, vault_id)
    for fiduciary in message.fiduciaries:
        due.add(context.state, fiduciary, DueKind.PUBLISH_VAULT_KEY, vault_id)
        FIDUCIARY_VAULTS.put(context.state, fiduciary, vault_id)
    role = concern_pb2.CONCERN_ROLE_PRINCIPAL
    concerns.note(context, concern_pb2.CONCERN_KIND_VAULT, vault_id, role, vault.principal)
    vaults.emit(context, vault, "opened")
    context.emit_named(vault.fiduciaries, "vault-opened", vault=vault_id)
    return vault_id


SPEC = MessageSpec(
    field="open_vault",
    message=tx_pb2.OpenVault,
    message_class=MessageClass.USER,
    cost=lambda message: 200 + 20 * len(message.fiduciaries) + concerns.NAME_COST,
    validate=_validate,
    execute=_execute,
    writes=(VAULTS, COUNTERS, CONCERNS, DUE, PRINCIPAL_VAULTS, FIDUCIARY_VAULTS),
    codes=(
        Code.FIELD_INVALID, Code.DUPLICATE, Code.UNKNOWN_CUSTODIAN, Code.UNKNOWN_FIDUCIARY,
        Code.FIDUCIARY_NOT_ACTIVE, Code.TOO_MANY,
    ),
    events=(events.NAMED, events.VAULT),
)  # fmt: skip
