"""``client.authorities``: the keys that no fiduciary holds alone."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.state.records import AUTHORITIES
from dta.client.ledger import leaves
from dta.client.ledger.authority import every, resolve
from dta.sdk.faces import Awaiting, Blocking, action
from dta.sdk.opened import Opened
from dta.sdk.results import Authority


class AuthorityActions:
    """Authority keys, all proved."""

    opened: Opened

    @action
    def list(self) -> Sequence[Authority]:
        """All keys of the ledger, in the order in which they were made."""
        return [Authority.of(record) for record in every(self.opened.ledger)]

    @action
    def get(self, authority: str) -> Authority:
        """A key, by its name, its id or the id's first digits. Raises NotFound, UsageError."""
        found = resolve(self.opened.ledger, authority)
        return Authority.of(self.opened.ledger.get(leaves.of(AUTHORITIES, found)))


class Authorities(AuthorityActions, Blocking):
    """``client.authorities``."""


class AsyncAuthorities(AuthorityActions, Awaiting):
    """The same under asyncio."""
