"""A call's transactions, kept before they are sent: who calls again with the same key sends the same bytes.

The ledger takes the same bytes once. So what was committed before a crash is found, what was not is sent, and nothing
nothing is done a second time because something else happened in between (docs/spec/rest.md, Idempotency-Key). With
them is kept what was verified as they were signed: from there it is proved what came of them, however old they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from google.protobuf.message import Message

from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import Expired, RefusedByLedger
from dta.client.ledger.headers import Trust
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.submit import Committed, Patience, submit
from dta.client.ledger.tx import SignedBytes, Signer
from dta.light.trust import TrustFile
from dta.service.idempotency import Call, Sent


class SentOnce(Ledger):
    """A ledger at work for one call: what it sends is kept with the call's key first."""

    def __init__(self, ledger: Ledger, call: Call) -> None:
        """Reads, and believes, as ``ledger`` does."""
        self.rpc, self.flows, self.trust = ledger.rpc, ledger.flows, ledger.trust
        self._call = call

    def send(self, signer: Signer, message: Message, patience: Patience | None = None) -> Committed:
        """As :meth:`Ledger.send`; the very bytes that an earlier call with the key sent of the same message."""
        if isinstance(message, tx_pb2.ReportShare):  # it says a key: on the ledger, and nowhere before
            return self.submit(self.build(signer, message), patience).require_ok()
        for kept in self._call.sent:
            tx = SignedBytes.parse(kept.tx, self.trust.gid)
            if tx.message() == message:
                try:
                    return self._done(tx, partial(self._again, tx, kept, patience))
                except Expired:  # it is in no block, and never will be
                    break
        tx = self.build(signer, message)
        self._call.keep(Sent(tx.tx, self.trust.moved_file().to_json()))
        return self._done(tx, partial(self.submit, tx, patience))

    def _again(self, tx: SignedBytes, kept: Sent, patience: Patience | None) -> Committed:
        """What came of it, proved from what was verified when it was signed: no word of a node is enough."""
        file = TrustFile.from_json(kept.trust) if kept.trust else self.trust.file
        trust = self.trust if self.trust.file.height <= file.height else Trust(file)
        flow = submit(tx, patience, trust=trust, sent_earlier=True, first_possible=file.height + 1)
        return self.rpc.run(flow)

    def _done(self, tx: SignedBytes, send: Callable[[], Committed]) -> Committed:
        """Forgets what did nothing and never will: who calls again may try again.

        Not what a mempool refused: REPLAYED, of a node that lacks the block, says that it may well be done.
        """
        try:
            return send().require_ok()
        except Expired:
            self._call.forget(tx.tx)
            raise
        except RefusedByLedger as refused:
            if refused.height is not None:  # it is in a block, and did nothing
                self._call.forget(tx.tx)
            raise
