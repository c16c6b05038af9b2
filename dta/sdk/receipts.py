"""``client.receipts``: proof for strangers; and checking one, for which no client, ledger or network is needed."""

from __future__ import annotations

import time

from abci_app.state.records import REQUESTS
from dta.base import ids
from dta.client.custody import finding, records
from dta.client.genesis import genesis_file, trusting
from dta.client.ledger import leaves
from dta.client.receipt import collect
from dta.client.receipt import verify as verifying
from dta.client.receipt.collect import Collected
from dta.light.people import People
from dta.light.trust import TrustFile
from dta.sdk.faces import Awaiting, Blocking, action
from dta.sdk.opened import Opened
from dta.sdk.results import Receipt


def verify_receipt(content: bytes, trust: TrustFile | bytes, now_s: int | None = None) -> Receipt:
    """What a receipt proves, offline. ``trust``: a trust file's or a genesis file's bytes, got by a way that you trust.

    ``now_s``: Unix seconds, by default this machine's clock's. Raises ReceiptRefused where it does not hold, with the
    step that failed; UsageError where what is trusted can't be read.
    """
    people = None
    if isinstance(trust, bytes):
        people = genesis_file.read(trust).people() if trusting.is_genesis(trust) else People()
    believed = trusting.trust_of(trust) if isinstance(trust, bytes) else trust
    verified = verifying.verify_receipt(content, believed, int(time.time()) if now_s is None else now_s)
    return Receipt.of(content, verified, people)


class ReceiptActions:
    """Receipts are collected from nodes that nobody has to believe, and verified before they are handed out."""

    opened: Opened

    @action
    def order(self, order: str) -> Receipt:
        """Everything that happened to an order, and how it stands."""
        session = self.opened.session
        found = ids.resolve(
            order, "order", lambda: records.order_ids(session.directory),
            lambda: finding.orders(self.opened.ledger, session.party.identity),
        )  # fmt: skip
        return _made(collect.collect_order_receipt(self.opened.ledger.rpc, self.opened.begins, found))

    @action
    def request(self, request: str) -> Receipt:
        """The receipt of the order of a request, of a signing order too, by the request's id."""
        record = self.opened.ledger.get(leaves.of(REQUESTS, ids.resolve(request, "request")))
        return _made(collect.collect_order_receipt(self.opened.ledger.rpc, self.opened.begins, record.order))

    @action
    def identity(self, identity: str, *, at_height: int | None = None) -> Receipt:
        """What an identity is; with ``at_height``, what it was then: not revoked, for instance."""
        found = self.opened.names.resolve(identity)
        return _made(collect.collect_identity_receipt(self.opened.ledger.rpc, self.opened.begins, found, at_height))

    @action
    def verify(self, content: bytes) -> Receipt:
        """What a receipt of this client's ledger proves. Raises ReceiptRefused."""
        now_s = self.opened.session.now_s()
        return Receipt.of(content, verifying.verify_receipt(content, self.opened.begins, now_s))


class Receipts(ReceiptActions, Blocking):
    """``client.receipts``."""


class AsyncReceipts(ReceiptActions, Awaiting):
    """The same under asyncio."""


def _made(collected: Collected) -> Receipt:
    return Receipt.of(collected.content, collected.verified)
