"""Opening, watching and closing a vault."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from abci_app import limits
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from dta.base.errors import UsageError
from dta.client.custody import records
from dta.client.custody.session import Session, Step, timed_out
from dta.client.ledger.ledger import VaultView

DEFAULT_WAIT_S = 120.0


def open_vault(
    session: Session,
    custodian: str,
    fiduciaries: Sequence[bytes],
    *,
    nonce: bytes | None = None,
    title: str = "",
    wait_s: float = DEFAULT_WAIT_S,
) -> VaultView:
    """Opens a vault at ``fiduciaries`` (identity ids) and waits until each has published its key.

    The same ``nonce`` (32 bytes) is the same vault: a retry can't make a second one. ``title`` stays in this home.
    ``wait_s`` 0 does not wait.
    Raises RefusedByLedger, NotVerified, TimedOut (the vault is open; ``data`` has its id and who is missing).
    """
    nonce = secrets.token_bytes(limits.NONCE_BYTES) if nonce is None else nonce
    if len(nonce) != limits.NONCE_BYTES:
        raise UsageError(f"a vault's nonce has {limits.NONCE_BYTES} bytes")
    vault = statements.vault_id(session.gid, session.party.identity, nonce)
    records.save_vault(session.directory, vault, nonce, title)
    session.progress(Step("open", f"opening vault {vault.hex()}"))
    message = tx_pb2.OpenVault(nonce=nonce, custodian=custodian, fiduciaries=fiduciaries)
    committed = session.send(message)
    return wait_for_keys(session, vault, at_least=committed.height, wait_s=wait_s)


def wait_for_keys(session: Session, vault: bytes, *, at_least: int = 0, wait_s: float = DEFAULT_WAIT_S) -> VaultView:
    """The vault's proved state once every key is published. Raises TimedOut, naming those without a key."""

    def show(view: VaultView) -> Step:
        return Step("keys", "keys published", len(published(view)), len(view.keys))

    view, complete = session.wait_for(
        lambda: session.ledger.vault_keys(vault, at_least),
        lambda view: len(published(view)) == len(view.keys) or wait_s == 0,
        show,
        wait_s,
    )
    if not complete:
        missing = [fiduciary.hex() for fiduciary, key in view.keys.items() if key is None]
        raise timed_out(
            f"the vault {vault.hex()} is open, but {len(missing)} of {len(view.keys)} fiduciaries published no key yet",
            "orders can be placed with the others; `dta vault show` says who is missing",
            vault=vault.hex(),
            missing=list(missing),
        )
    return view


def published(view: VaultView) -> list[bytes]:
    """The fiduciaries that have a key in the vault, not destroyed, in the vault's order."""
    return [fiduciary for fiduciary, key in view.keys.items() if key is not None and not key.erased_height]


def close_vault(session: Session, vault: bytes) -> custody_pb2.VaultRecord:
    """Starts the closing delay, at the end of which every fiduciary destroys its key. The proved record then."""
    committed = session.send(tx_pb2.CloseVault(vault=vault))
    return session.ledger.vault(vault, at_least=committed.height)


def cancel_close(session: Session, vault: bytes) -> custody_pb2.VaultRecord:
    """Stops a closing while its delay runs. The proved record then."""
    committed = session.send(tx_pb2.CancelCloseVault(vault=vault))
    return session.ledger.vault(vault, at_least=committed.height)
