"""What is open of one key: bounded, and nobody's orders take all of it."""

from __future__ import annotations

import pytest

from abci_app.authority import extractions
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.crypto.curve import G1
from abci_app.limits import MAX_TIME_S
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, tx_pb2
from abci_app.state.records import EXTRACTION_LOADS, ORDERS, REQUESTS
from dta.crypto.extraction import make_transport
from tests.support.actors import Actor, seeded
from tests.support.authority import CUSTODY, answer, install_new
from tests.support.chain import Chain
from tests.support.custody import k_of, single
from tests.support.world import set_params

CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
MOST = 4 * extractions.HOLDERS
SHARE = 4


class World:
    """A custody key of four, whose open requests are few; mallory and alice."""

    def __init__(self) -> None:
        self.chain = Chain(4)
        self.dealt = install_new(self.chain, CUSTODY)
        self.mallory, self.alice = Actor("mallory"), Actor("alice")
        self.chain.register(self.mallory, self.alice)
        set_params(self.chain, max_open_extractions=MOST)

    def place(self, who: Actor, number: int, policy: custody_pb2.Policy) -> bytes:
        message = tx_pb2.PlaceOrder(
            nonce=seeded("nonce", who.name, number), custodian="mpc-bls", authority=self.dealt.id, envelope_cid=CID,
            policy=policy, rule=custody_pb2.BeneficiaryRule(identity=who.identity),
        )  # fmt: skip
        result = self.chain.run(who, message)
        assert result.code == 0, result
        return result.data

    def ask(self, who: Actor, order: bytes, number: int) -> tuple[int, bytes]:
        nonce = seeded("request", order, number)
        request = statements.request_id(self.chain.gid, order, who.identity, nonce)
        made = make_transport(
            G1, self.chain.gid, extraction_pb2.USE_CUSTODY, request, order, who.identity
        )
        message = tx_pb2.RequestSecret(
            order=order, nonce=nonce, beneficiary=who.identity, transport_key=made.point, possession=made.proof
        )
        return self.chain.run(who, message).code, request

    def open(self, who: Actor | None = None) -> int:
        load = EXTRACTION_LOADS.find(self.chain.view, self.dealt.id, who.identity if who else b"")
        return load.open if load else 0


@pytest.fixture
def world() -> World:
    return World()


def for_ever(who: Actor) -> custody_pb2.Policy:
    """Granted at once, released never."""
    return k_of(1, who.identity, veto_window_s=MAX_TIME_S - 2**40)


def test_orders_that_are_never_released_do_not_take_a_key_from_others(world: World) -> None:
    codes = []
    for number in range(MOST // 8 + 1):
        order = world.place(world.mallory, number, for_ever(world.mallory))
        codes += [world.ask(world.mallory, order, n)[0] for n in range(3)]
    assert codes == [0] * SHARE + [Code.AUTHORITY_BUSY] * (len(codes) - SHARE)
    assert (world.open(), world.open(world.mallory)) == (SHARE, SHARE)
    order = world.place(world.alice, 0, single(world.alice.identity))
    code, request = world.ask(world.alice, order, 0)
    assert code == 0
    assert (world.open(), world.open(world.alice)) == (SHARE + 1, 1)
    for founder in world.chain.founders[:3]:
        assert answer(world.chain, world.dealt, founder, request).code == 0
    assert (world.open(), world.open(world.alice)) == (SHARE, 0)


def test_what_is_vetoed_makes_room(world: World) -> None:
    orders = [world.place(world.mallory, number, for_ever(world.mallory)) for number in range(2)]
    asked = [world.ask(world.mallory, orders[n // 3], n) for n in range(SHARE + 1)]
    assert asked[-1][0] == Code.AUTHORITY_BUSY
    digest = next(
        custody_pb2.RequestRecord.FromString(value).content_digest
        for key, value in world.chain.view.scan(REQUESTS.prefix)
        if key.endswith(asked[0][1])
    )
    veto = tx_pb2.VetoRequest(request=asked[0][1], content_digest=digest)
    assert world.chain.run(world.mallory, veto).code == 0
    assert (world.open(), world.open(world.mallory)) == (SHARE - 1, SHARE - 1)
    assert world.ask(world.mallory, orders[1], SHARE + 1)[0] == 0
    assert sum(ORDERS.get(world.chain.view, order).open_requests for order in orders) == SHARE
