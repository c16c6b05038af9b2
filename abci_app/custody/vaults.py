"""What several messages do with a vault."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.custody import lifecycle
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state import as_of
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, FIDUCIARY_VAULTS
from abci_app.state.records import COUNTERS, IDENTITIES, VAULTS


def get(context: Context, vault_id: bytes) -> pb.VaultRecord:
    """The vault, refused with UNKNOWN_VAULT where there is none."""
    vault = VAULTS.find(context.state, vault_id)
    if vault is None:
        raise Refusal(Code.UNKNOWN_VAULT, vault_id.hex(), reason="named")
    return vault


def node_key(context: Context) -> bytes:
    """The node key of the fiduciary that signs. It is made in the keystore that has its vaults' keys: another node key,
    another keystore."""
    return IDENTITIES.get(context.state, context.signer).node_key


def is_closed(vault: pb.VaultRecord, context: Context) -> bool:
    """Whether the closing delay is over at this block, recorded by the sweep or not yet."""
    return as_of.vault(vault, context.moment) == pb.VAULT_STATUS_CLOSED


def record_closed(context: Context, vault: pb.VaultRecord) -> None:
    """Record what the deadline made true. Puts the vault and its principal's counter."""
    lifecycle.move_vault(vault, pb.VAULT_STATUS_CLOSED)
    vault.closed_height = context.height
    forget_deadline(context, vault)
    for fiduciary in vault.fiduciaries:
        FIDUCIARY_VAULTS.delete(context.state, fiduciary, vault.id)
    counter = COUNTERS.get(context.state, vault.principal)
    counter.open_vaults -= 1
    COUNTERS.put(context.state, counter, vault.principal)
    VAULTS.put(context.state, vault, vault.id)
    emit(context, vault, "closed")


def record_due(context: Context, vault_id: bytes) -> None:
    """The sweep came to the end of a closing delay: its time, or its height."""
    vault = VAULTS.get(context.state, vault_id)
    if is_closed(vault, context):
        record_closed(context, vault)
    else:  # its time has come, its height has not
        vault.waits_for_height = True
        VAULTS.put(context.state, vault, vault.id)
        forget_deadline(context, vault)
        DEADLINE_HEIGHT.put(context.state, vault.closes_at_height, DeadlineKind.VAULT, vault.id)


def deadlines(vault: pb.VaultRecord) -> list[bytes]:
    """The index entry by which the sweep finds when a closing vault is closed: by time first, then by height."""
    if vault.waits_for_height:
        return [DEADLINE_HEIGHT.key(vault.closes_at_height, DeadlineKind.VAULT, vault.id)]
    return [DEADLINE_TIME.key(vault.closes_at_time_s, DeadlineKind.VAULT, vault.id)]


def remember_deadline(context: Context, vault: pb.VaultRecord) -> None:
    """Index when the closing delay ends. It wants time *and* height: by time first, then by height."""
    DEADLINE_TIME.put(context.state, vault.closes_at_time_s, DeadlineKind.VAULT, vault.id)


def forget_deadline(context: Context, vault: pb.VaultRecord) -> None:
    """Nothing of this vault is left to sweep."""
    by_time = DEADLINE_TIME.key(vault.closes_at_time_s, DeadlineKind.VAULT, vault.id)
    by_height = DEADLINE_HEIGHT.key(vault.closes_at_height, DeadlineKind.VAULT, vault.id)
    for key in (by_time, by_height):
        if context.state.index_get(key) is not None:
            context.state.index_delete(key)


def emit(context: Context, vault: pb.VaultRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the vault."""
    status = pb.VaultStatus.Name(vault.status).removeprefix("VAULT_STATUS_").lower()
    context.emit("vault", vault.id, action, status=status, principal=vault.principal, **attributes)
