"""The orders, requests and vaults that an identity has to do with, by the ledger's proved list (docs/spec/concerns.md).

For who knows the first digits of an id alone: what this home made itself is in its files.
"""

from __future__ import annotations

from collections.abc import Iterator

from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.state.records import ORDERS, REQUEST_NUMBERS
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger


def orders(ledger: Ledger, identity: bytes) -> list[bytes]:
    """The orders, signing orders too, whose principal, beneficiary, party or vetoer it is."""
    return _of_kind(ledger, identity, pb.CONCERN_KIND_ORDER)


def vaults(ledger: Ledger, identity: bytes) -> list[bytes]:
    """Its vaults."""
    return _of_kind(ledger, identity, pb.CONCERN_KIND_VAULT)


def requests(ledger: Ledger, identity: bytes) -> Iterator[bytes]:
    """The requests of those orders, and those that it was authorised to receive by."""
    concerns = ledger.concerns(identity).entries
    for entry in concerns:
        if entry.kind == pb.CONCERN_KIND_REQUEST:
            yield entry.subject
    for entry in concerns:
        if entry.kind != pb.CONCERN_KIND_ORDER:
            continue
        record = ledger.find(leaves.of(ORDERS, entry.subject))
        for number in range(1, 1 + (record.requests if record is not None else 0)):
            named = ledger.prove(REQUEST_NUMBERS.key(entry.subject, number)).value
            if named is not None:
                yield named


def _of_kind(ledger: Ledger, identity: bytes, kind: pb.ConcernKind) -> list[bytes]:
    return [entry.subject for entry in ledger.concerns(identity).entries if entry.kind == kind]
