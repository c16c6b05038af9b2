"""Orders and requests under a custody key, by people who may hold a place of it or wait for one."""

from __future__ import annotations

from google.protobuf.message import Message

from abci_app.crypto import statements
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, tx_pb2
from abci_app.state.collection import AnyIndex
from abci_app.state.due import DueKind, is_due
from abci_app.state.indexes import OPEN_EXTRACTIONS
from abci_app.state.records import COUNTERS, EXTRACTION_LOADS, REQUESTS
from dta.crypto.extraction import make_transport
from tests.support.actors import Actor, seeded
from tests.support.authority import CUSTODY, answer, install_new
from tests.support.chain import Chain
from tests.support.custody import single
from tests.support.world import set_params

CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


class World:
    """A chain with a custody key of four, whose places are ``places``, and with people who are registered."""

    def __init__(self, *names: str, places: int = 1) -> None:
        self.chain = Chain(4)
        self.dealt = install_new(self.chain, CUSTODY)
        self.people = {name: Actor(name) for name in names}
        self.chain.register(*self.people.values())
        set_params(self.chain, max_open_extractions=places)

    def place(self, who: str, tag: object = 0, policy: custody_pb2.Policy | None = None, **fields: int) -> bytes:
        """An order of ``who``'s own that it can have at once, unless ``policy`` says otherwise."""
        actor = self.people[who]
        message = tx_pb2.PlaceOrder(
            nonce=seeded("nonce", who, tag), custodian="mpc-bls", authority=self.dealt.id, envelope_cid=CID,
            policy=policy or single(actor.identity), rule=custody_pb2.BeneficiaryRule(identity=actor.identity),
            **fields,
        )  # fmt: skip
        result = self.chain.run(actor, message)
        assert result.code == 0, result
        return result.data

    def asking(self, who: str, order: bytes, tag: object = 0) -> tuple[Message, bytes]:
        """The message with which ``who`` asks for the order's secret, and the request's id."""
        actor, nonce = self.people[who], seeded("request", order, tag)
        request = statements.request_id(self.chain.gid, order, actor.identity, nonce)
        made = make_transport(G1, self.chain.gid, extraction_pb2.USE_CUSTODY, request, order, actor.identity)
        message = tx_pb2.RequestSecret(
            order=order, nonce=nonce, beneficiary=actor.identity, transport_key=made.point, possession=made.proof
        )
        return message, request

    def ask(self, who: str, order: bytes, tag: object = 0) -> bytes:
        """``who`` asks, in a block of its own, and is not refused. Returns the request's id."""
        message, request = self.asking(who, order, tag)
        result = self.chain.run(self.people[who], message)
        assert result.code == 0, result
        return request

    def record(self, request: bytes) -> custody_pb2.RequestRecord:
        return REQUESTS.get(self.chain.view, request)

    def answer(self, request: bytes) -> None:
        """Threshold-many members answer, each in a block of its own."""
        for founder in self.chain.founders[:3]:
            assert answer(self.chain, self.dealt, founder, request).code == 0

    def in_flight(self) -> list[bytes]:
        """The requests that are released and unanswered."""
        found = [request for _, request in OPEN_EXTRACTIONS.entries(self.chain.view, self.dealt.id)]
        load = EXTRACTION_LOADS.find(self.chain.view, self.dealt.id)
        assert (load.open if load else 0) == len(found)
        return found

    def waiting(self, who: str) -> int:
        counter = COUNTERS.find(self.chain.view, self.people[who].identity)
        return counter.waiting_requests if counter else 0

    def is_due(self, request: bytes) -> bool:
        """Whether a member owes the request in the next block."""
        member, height = self.chain.founders[0].identity, self.chain.height + 1
        return is_due(self.chain.view, member, DueKind.FULFIL_SECRET, request, self.chain.time_s, height)

    def entries(self, index: AnyIndex) -> list[tuple[object, ...]]:
        return list(index.entries(self.chain.view))
