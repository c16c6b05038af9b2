"""A call's transactions, kept before they are sent: who calls again with the same key sends the same bytes.

The ledger takes the same bytes once. So what was committed before a crash is found, what was not is sent, and nothing
is done a second time because something else happened in between (docs/spec/rest.md, Idempotency-Key).
"""

from __future__ import annotations

from google.protobuf.message import Message

from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import Expired, RefusedByLedger
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.submit import Committed, Patience
from dta.client.ledger.tx import SignedBytes, Signer
from dta.service.idempotency import Call


class SentOnce(Ledger):
    """A ledger at work for one call: what it sends is kept with the call's key first."""

    def __init__(self, ledger: Ledger, call: Call) -> None:
        """Reads, and believes, as ``ledger`` does."""
        self.rpc, self.flows, self.trust = ledger.rpc, ledger.flows, ledger.trust
        self._call = call

    def send(self, signer: Signer, message: Message, patience: Patience | None = None) -> Committed:
        """As :meth:`Ledger.send`; the very bytes that an earlier call with the key sent of the same message."""
        if isinstance(message, tx_pb2.ReportShare):  # it says a key: on the ledger, and nowhere before
            return self._submit(self.build(signer, message), patience, sent_earlier=False)
        for kept in self._call.sent:
            tx = SignedBytes.parse(kept, self.trust.gid)
            if tx.message() == message:
                try:
                    return self._submit(tx, patience, sent_earlier=True)
                except Expired:  # it is in no block, and never will be
                    break
        tx = self.build(signer, message)
        self._call.keep(tx.tx)
        return self._submit(tx, patience, sent_earlier=False)

    def _submit(self, tx: SignedBytes, patience: Patience | None, *, sent_earlier: bool) -> Committed:
        try:
            return self.submit(tx, patience, sent_earlier=sent_earlier).require_ok()
        except (Expired, RefusedByLedger):
            self._call.forget(tx.tx)  # it did nothing: who calls again may try again
            raise
