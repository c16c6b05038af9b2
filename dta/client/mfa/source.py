"""A realm's facts for an authentication server, from verified reads of the ledger."""

from __future__ import annotations

import threading

from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_CLIENTS, REALMS
from dta.base.errors import NotFound
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger
from dta.client.mfa import permits, realms
from dta.client.mfa.issued import NotIssued
from dta.mpin.realm import ClientStatus, RealmFacts

_MAX_PERMITS_KEPT = 10_000
_STATUS = {
    mfa_pb2.MFA_CLIENT_STATUS_ENROLLED: ClientStatus.ENROLLED,
    mfa_pb2.MFA_CLIENT_STATUS_REVOKED: ClientStatus.REVOKED,
}


class LedgerRealm:
    """A :class:`dta.mpin.realm.RealmSource`: each answer is proved and fresh, but for what never changes.

    What never changes, the realm's terms and a permit that was issued, is read once.
    """

    def __init__(self, ledger: Ledger, realm: bytes) -> None:
        self._ledger = ledger
        self._realm = realm
        self._lock = threading.Lock()  # the client behind a ledger is one connection
        self._facts: RealmFacts | None = None
        self._permits: dict[tuple[bytes, int], bytes] = {}

    def facts(self) -> RealmFacts:
        """See :class:`dta.mpin.realm.RealmSource`. Raises RealmNotReady while the realm has no key."""
        with self._lock:
            if self._facts is None:
                self._facts = realms.view(self._ledger, self._realm).facts(self._ledger.trust.gid)
            return self._facts

    def server_registered(self, server: bytes) -> bool:
        """See :class:`dta.mpin.realm.RealmSource`."""
        with self._lock:
            return server in self._ledger.get(leaves.of(REALMS, self._realm)).servers

    def client_status(self, client: bytes) -> ClientStatus:
        """See :class:`dta.mpin.realm.RealmSource`."""
        with self._lock:
            record = self._ledger.find(leaves.of(REALM_CLIENTS, self._realm, client))
        return ClientStatus.UNKNOWN if record is None else _STATUS[record.status]

    def permit(self, client: bytes, day: int) -> bytes | None:
        """See :class:`dta.mpin.realm.RealmSource`."""
        known = self._permits.get((client, day))
        if known is not None:
            return known
        facts = self.facts()
        with self._lock:
            try:
                point = self._ledger.rpc.run(permits.find(self._ledger.flows, facts, client, day))
            except (NotFound, NotIssued):
                return None
            while len(self._permits) >= _MAX_PERMITS_KEPT:
                self._permits.pop(next(iter(self._permits)))
            self._permits[client, day] = point.encode()
        return point.encode()
