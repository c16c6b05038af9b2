"""``client.identities``: who is who on the ledger, and this client's own."""

from __future__ import annotations

from pathlib import Path

from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import IDENTITIES
from dta.client.identity import create, lifecycle
from dta.client.ledger import leaves
from dta.client.ledger.fiduciaries import current
from dta.sdk.faces import Awaiting, Blocking, action
from dta.sdk.opened import Opened
from dta.sdk.results import Identity


class IdentityActions:
    """Identities, by id, by the first digits of one that is known, or by a name that this client knows."""

    opened: Opened

    @action
    def me(self) -> Identity:
        """The identity that this client acts as, proved. Raises NotFound where it is not registered yet."""
        return Identity.of(self.opened.ledger.identity(self.opened.session.party.identity))

    @action
    def get(self, identity: str) -> Identity:
        """An identity, proved. Raises NotFound."""
        return Identity.of(self.opened.ledger.identity(self.opened.names.resolve(identity)))

    @action
    def find(self, identity: str) -> Identity | None:
        """The same, or None where it is proved that there is none."""
        record = self.opened.ledger.find(leaves.of(IDENTITIES, self.opened.names.resolve(identity)))
        return None if record is None else Identity.of(record)

    @action
    def register(self, request: Path | str) -> Identity:
        """Register the identity of a request file of ``dta identity create``: one's own where the ledger lets anybody
        in, else somebody's whom this client, a fiduciary's, sponsors. Know whom: compare the id.

        An identity that is there already is no error. Raises UsageError (another ledger's, or changed),
        RefusedByLedger, UploadIncomplete (no fiduciary took the document).
        """
        session, ledger = self.opened.session, self.opened.ledger
        identity, block, _ = create.read_request(Path(request), session.gid)
        active = current(ledger, self.opened.names.fiduciaries)
        gateways = session.gateways(active)

        def publish(document: bytes) -> None:
            if gateways:
                session.blocks.upload(document, gateways, session.party.signer, allow_missing=len(gateways) - 1)

        outcome = lifecycle.register(ledger, session.party.signer, identity, block, publish)
        return Identity.of(ledger.identity(identity, outcome.height or 0))

    @action
    def suspend(self) -> Identity:
        """Suspend this client's own identity: only a rotation, by the next key, lifts it."""
        committed = self.opened.session.send(tx_pb2.SuspendIdentity())
        return Identity.of(self.opened.ledger.identity(self.opened.session.party.identity, committed.height))


class Identities(IdentityActions, Blocking):
    """``client.identities``."""


class AsyncIdentities(IdentityActions, Awaiting):
    """The same under asyncio."""
