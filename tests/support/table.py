"""Tables of transactions that the ledger refuses: a function for each, named after what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message

from abci_app.codes import Code
from abci_app.pb.dta.v1 import tx_pb2
from tests.support.custody import Custody
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import fresh_custody, only_consumed

Make = Callable[[Custody], bytes]


class Table:
    """``because_of`` and ``make_of`` by name. A maker is given a fresh world and returns the transaction."""

    def __init__(self) -> None:
        self.because_of: dict[str, Because] = {}
        self.make_of: dict[str, Make] = {}

    def case(self, code: Code, reason: str = "") -> Callable[[Make], Make]:
        """The ledger answers ``code``, for ``reason``, to what the function makes, after whatever must come first."""

        def register(make: Make) -> Make:
            assert make.__name__ not in self.make_of
            self.because_of[make.__name__] = Because(code, reason)
            self.make_of[make.__name__] = make
            return make

        return register


def check_consumed(table: Table, name: str) -> None:
    """An authentic transaction that is refused: its body is consumed, and nothing else changed."""
    expected = table.because_of[name]
    custody = fresh_custody()
    tx = table.make_of[name](custody)
    checked = custody.chain.check(tx)
    assert because(checked) in (expected, TAKEN, Because(Code.NOT_DUE, "not-early")), checked
    result = custody.chain.block(tx)
    refused(result.tx_results[0], *expected)
    assert result.tx_results[0].data == b""
    assert result.tx_results[0].events == ()
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    assert only_consumed(result.changes, body.expires_at_height)
    refused(custody.chain.block(tx).tx_results[0], Code.REPLAYED)


def by_principal(custody: Custody, message: Message) -> bytes:
    """Signed by the world's principal."""
    return custody.chain.tx(custody.principal, message)


def by_node(custody: Custody, message: Message, number: int = 0) -> bytes:
    """Signed by a founder's node key."""
    founder = custody.chain.founders[number]
    return custody.chain.tx(founder, message, key=founder.node_key)


def ok(custody: Custody, tx: bytes) -> bytes:
    """Commit what must succeed; its data."""
    result = custody.chain.block(tx).tx_results[0]
    assert result.code == Code.OK, result
    return result.data
