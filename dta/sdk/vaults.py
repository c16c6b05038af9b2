"""``client.vaults``: where a principal's secrets are kept, in keys of the fiduciaries' keystores."""

from __future__ import annotations

from collections.abc import Sequence

from dta.base import ids
from dta.base.errors import UsageError
from dta.client.custody import own_vaults, records, vaults
from dta.client.ledger.fiduciaries import current
from dta.sdk.faces import Awaiting, Blocking, action
from dta.sdk.opened import Opened
from dta.sdk.results import Vault

DEFAULT_CUSTODIAN = "hsm-realm"


class VaultActions:
    """Vaults of this client's identity."""

    opened: Opened

    @action
    def open(
        self,
        fiduciaries: Sequence[str] = (),
        *,
        custodian: str = DEFAULT_CUSTODIAN,
        title: str = "",
        wait_s: float = vaults.DEFAULT_WAIT_S,
    ) -> Vault:
        """Open a vault at these fiduciaries, by default all active ones, and wait until each has published its key."""
        names = self.opened.names
        if fiduciaries:
            chosen = [names.resolve(name) for name in fiduciaries]
        else:
            chosen = list(current(self.opened.ledger, names.fiduciaries))
        if not chosen:
            raise UsageError("this client knows no active fiduciary", hint="name them")
        view = vaults.open_vault(self.opened.session, custodian, chosen, title=title, wait_s=wait_s)
        return Vault.of(view)

    @action
    def get(self, vault: str) -> Vault:
        """A vault and its keys, proved. Raises NotFound."""
        return Vault.of(self.opened.ledger.vault_keys(find_vault(self.opened, vault)))

    @action
    def list(self) -> Sequence[Vault]:
        """All vaults of this identity: a list that is proved whole."""
        return [Vault.of(self.opened.ledger.vault_keys(one)) for one in own_vaults.every(self.opened.session)]

    @action
    def close(self, vault: str) -> Vault:
        """Close a vault whose orders are closed: after a delay its keys are destroyed, everywhere."""
        record = vaults.close_vault(self.opened.session, find_vault(self.opened, vault))
        return Vault.of(self.opened.ledger.vault_keys(record.id, self.opened.seen_height))

    @action
    def cancel_close(self, vault: str) -> Vault:
        """Stop a closing while its delay runs."""
        record = vaults.cancel_close(self.opened.session, find_vault(self.opened, vault))
        return Vault.of(self.opened.ledger.vault_keys(record.id, self.opened.seen_height))


class Vaults(VaultActions, Blocking):
    """``client.vaults``."""


class AsyncVaults(VaultActions, Awaiting):
    """The same under asyncio."""


def find_vault(opened: Opened, text: str) -> bytes:
    """A vault's id, by its first digits where this client knows it. Raises NotFound, UsageError."""
    session = opened.session
    return ids.resolve(
        text, "vault", lambda: records.known_vaults(session.directory), lambda: own_vaults.every(session),
    )  # fmt: skip
