"""Reading realms: what they are, who is in them, by proof."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from abci_app.limits import NONCE_BYTES
from abci_app.pb.dta.v1 import authority_pb2, governance_pb2, mfa_pb2
from abci_app.state.records import AUTHORITIES, REALM_CLIENT_NUMBERS, REALM_CLIENTS, REALMS
from dta.base import ids
from dta.base.errors import JsonValue, NotFound
from dta.client.ledger import authority, leaves
from dta.client.ledger.flow import Flow
from dta.client.ledger.ledger import Ledger, LedgerFlows
from dta.mpin.realm import RealmFacts
from dta.mpin.suite import suite_of


class RealmNotReady(NotFound):
    """The realm's key is not there yet."""

    kind = "realm-not-ready"


@dataclass(frozen=True, slots=True)
class RealmView:
    """A realm and its key, of one proved state."""

    record: mfa_pb2.RealmRecord
    authority: authority_pb2.AuthorityRecord
    height: int

    @property
    def is_ready(self) -> bool:
        """Whether its key is in force."""
        return bool(self.authority.public_key_g1) and bool(self.authority.epoch)

    def facts(self, gid: bytes) -> RealmFacts:
        """What servers and clients have to know. Raises RealmNotReady."""
        if not self.is_ready:
            raise RealmNotReady(
                f"the realm {self.record.id.hex()} has no key yet",
                hint="its ceremony must be done first: `dta authority show` says what it waits for",
            )
        terms = self.record.terms
        return RealmFacts(
            gid=gid, realm=self.record.id, authority=self.record.authority, suite=suite_of(terms.suite),
            public_key=self.authority.public_key_g1, permits_required=terms.permits_required,
            max_attempts=terms.max_attempts, lockout_s=terms.lockout_s, one_pass_max_age_s=terms.one_pass_max_age_s,
            name=terms.name,
        )  # fmt: skip


def view_flow(flows: LedgerFlows, realm: bytes, at_least: int = 0) -> Flow[RealmView]:
    """A realm and its key. Raises NotFound."""
    head = yield from flows.reader.head(at_least)
    leaf = leaves.of(REALMS, realm)
    record = leaf.found((yield from flows.reader.find_at(head, leaf)))
    key = leaves.of(AUTHORITIES, record.authority)
    return RealmView(record, key.found((yield from flows.reader.find_at(head, key))), head.height)


def view(ledger: Ledger, realm: bytes, at_least: int = 0) -> RealmView:
    """:func:`view_flow`, blocking."""
    return ledger.rpc.run(view_flow(ledger.flows, realm, at_least))


def known(ledger: Ledger) -> list[bytes]:
    """The ids of all realms, in the order in which they were made, by proof: an mfa key names its realm."""
    return [record.realm for record in authority.every(ledger) if record.realm]


def find(ledger: Ledger, text: str) -> bytes:
    """A realm's id. Raises NotFound, UsageError (several have that name, or it reads as another's id)."""
    if len(text) == ids.DIGITS and ids.could_be(text):
        return ids.resolve(text, "realm")
    names = {realm: ledger.get(leaves.of(REALMS, realm)).terms.name for realm in known(ledger)}
    found = ids.named(text, "realm", names)
    if found is not None:
        return found
    raise NotFound(f"there is no realm {text!r}", hint="`dta mfa realm list` shows them")


def clients(ledger: Ledger, record: mfa_pb2.RealmRecord) -> Iterator[mfa_pb2.MfaClientRecord]:
    """Every client of the realm by its number, as it is now; each read is proved."""
    for number in range(record.clients):
        named = ledger.get(leaves.of(REALM_CLIENT_NUMBERS, record.id, number))
        yield ledger.get(leaves.of(REALM_CLIENTS, record.id, named.client))


def status_name(record: mfa_pb2.MfaClientRecord) -> str:
    """A client's status in lower case."""
    return mfa_pb2.MfaClientStatus.Name(record.status).removeprefix("MFA_CLIENT_STATUS_").lower()


def client_json(record: mfa_pb2.MfaClientRecord) -> dict[str, JsonValue]:
    """A client, all that a list shows of it."""
    return {
        "number": record.number, "client": record.client.hex(), "status": status_name(record),
        "enrolments": record.enrolments, "height": record.revoked_height or record.enrolled_height,
    }  # fmt: skip


def as_json(view: RealmView) -> dict[str, JsonValue]:
    """A realm, all of it."""
    record, terms = view.record, view.record.terms
    servers_: list[JsonValue] = [server.hex() for server in record.servers]
    return {
        "realm": record.id.hex(), "name": terms.name, "registrar": terms.registrar.hex(),
        "suite": suite_of(terms.suite).name, "permits_required": terms.permits_required,
        "max_attempts": terms.max_attempts, "lockout_s": terms.lockout_s,
        "one_pass_max_age_s": terms.one_pass_max_age_s, "authority": record.authority.hex(),
        "public_key": view.authority.public_key_g1.hex(), "epoch": view.authority.epoch, "servers": servers_,
        "clients": record.clients, "created_height": record.created_height, "proved_at_height": view.height,
    }  # fmt: skip


def create_action(
    terms: mfa_pb2.RealmTerms,
    members: Iterable[bytes],
    *,
    threshold: int = 0,
    refresh_interval_blocks: int = 0,
    nonce: bytes | None = None,
) -> tuple[governance_pb2.Action, bytes]:
    """What creates a realm with a key of its own, and the nonce that names both. ``threshold`` 0: the default."""
    chosen = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    message = mfa_pb2.CreateRealm(
        terms=terms, members=sorted(set(members)), threshold=threshold,
        refresh_interval_blocks=refresh_interval_blocks, nonce=chosen,
    )  # fmt: skip
    return governance_pb2.Action(create_realm=message), chosen
