"""``client.realms``: M-Pin realms, and the registrar's side of enrolling in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dta.base.errors import UsageError
from dta.client.mfa import enrolling, realms, registry, tickets
from dta.sdk.faces import Awaiting, Blocking, action
from dta.sdk.opened import Opened
from dta.sdk.results import Realm


class RealmActions:
    """Realms, all proved."""

    opened: Opened

    @action
    def list(self) -> Sequence[Realm]:
        """All realms of the ledger."""
        ledger = self.opened.ledger
        return [Realm.of(realms.view(ledger, one)) for one in realms.known(ledger)]

    @action
    def get(self, realm: str) -> Realm:
        """A realm, by its name, its id or the id's first digits. Raises NotFound, UsageError."""
        ledger = self.opened.ledger
        return Realm.of(realms.view(ledger, realms.find(ledger, realm)))

    @action
    def enrol(self, enrolments: Iterable[Path | str]) -> Sequence[str]:
        """Put the enrolments that clients of one realm handed in on the ledger, as its registrar; the clients' hashes.

        Each is a file that ``dta mfa enrol`` wrote; know whose it is. As few transactions as the ledger's
        batches allow, each of which is enrolled as a whole or not at all. Raises UsageError, RefusedByLedger.
        """
        session = self.opened.session
        read = [tickets.read_request(Path(enrolment), session.gid) for enrolment in enrolments]
        if not read:
            raise UsageError("nobody is to be enrolled")
        enrolling.authorise(session, read)
        registry.remember(session.directory, session.gid, read)
        return [one.client.hex() for one in read]

    @action
    def clients(self, realm: str) -> Mapping[str, str]:
        """Every client of a realm, by hash, and its status: active, revoked and so on."""
        ledger = self.opened.ledger
        record = realms.view(ledger, realms.find(ledger, realm)).record
        return {one.client.hex(): realms.status_name(one) for one in realms.clients(ledger, record)}


class Realms(RealmActions, Blocking):
    """``client.realms``."""


class AsyncRealms(RealmActions, Awaiting):
    """The same under asyncio."""
