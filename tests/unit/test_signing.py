"""Signing orders: who has to agree, what is signed, and that any BLS library verifies it."""

from __future__ import annotations

import copy
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import FQ12, final_exponentiate, neg, pairing

from abci_app.authority.bases import SIGNING_SUITE
from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.crypto.bls import verify_min_sig
from abci_app.custody import policy as rules
from abci_app.custody.releases import signed_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.signing import signing_orders
from abci_app.state.overlay import Overlay
from abci_app.state.records import AUTHORITIES, COUNTERS, EXTRACTIONS, ORDERS, REQUESTS, SIGNINGS
from tests.support import governance
from tests.support.actors import Actor, seeded
from tests.support.authority import CUSTODY, SIGNING, UNPROVED_BLINDED, answer, context_over, install_new, message_of
from tests.support.chain import Chain
from tests.support.custody import k_of, single
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import set_params


class World:
    """Four fiduciaries with a signing key of three, and alice."""

    def __init__(self) -> None:
        self.chain = Chain(4)
        self.dealt = install_new(self.chain, SIGNING)
        self.alice, self.bob = Actor("alice"), Actor("bob")
        self.chain.register(self.alice, self.bob)

    def message(self, **changes: Any) -> pb.PlaceSigningOrder:
        given = {"nonce": seeded("n"), "authority": self.dealt.id, "kind": "release", "message": b"v1.2.3", "names": 10}
        given |= changes
        return pb.PlaceSigningOrder(**given)

    def place(self, who: Actor | None = None, **changes: Any) -> bytes:
        result = self.chain.run(who or self.alice, self.message(**changes))
        assert result.code == 0, result
        return result.data

    def decide(self, who: Actor, request: bytes, *, veto: bool = False) -> TxResult:
        message = tx_pb2.VetoRequest if veto else tx_pb2.ApproveRequest
        digest = REQUESTS.get(self.chain.view, request).content_digest
        return self.chain.run(who, message(request=request, content_digest=digest))

    def approve(self, request: bytes, *numbers: int) -> None:
        for number in numbers:
            assert self.decide(self.chain.founders[number], request).code == 0

    def answer(self, number: int, request: bytes) -> int:
        return answer(self.chain, self.dealt, self.chain.founders[number], request).code

    def signed(self, request: bytes) -> bytes:
        """Answered by three of four: the signature."""
        assert [self.answer(number, request) for number in (0, 1, 3)] == [0, 0, 0]
        return SIGNINGS.get(self.chain.view, request).signature

    def set_policy(self, policy: custody_pb2.Policy, *, raw: bool = False, tag: object = 0) -> None:
        message = pb.SetSigningPolicy(authority=self.dealt.id, policy=policy, raw_allowed=raw)
        proposal = governance.pass_(self.chain, governance.pb.Action(set_signing_policy=message), tag)
        assert governance.record(self.chain, proposal).status == governance.pb.PROPOSAL_STATUS_EXECUTED

    @property
    def public_key(self) -> bytes:
        return AUTHORITIES.get(self.chain.view, self.dealt.id).public_key_g2


@cache
def _made() -> World:
    return World()


@pytest.fixture
def world() -> World:
    return copy.deepcopy(_made())


def py_ecc_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """e(signature, -g2) * e(H(m), pk) = 1, by py-ecc."""
    from py_ecc.optimized_bls12_381 import G2

    point = decompress_G1(int.from_bytes(signature, "big"))
    key = decompress_G2((int.from_bytes(public_key[:48], "big"), int.from_bytes(public_key[48:], "big")))
    hashed = hash_to_G1(message, SIGNING_SUITE.encode(), sha256)
    product = pairing(neg(G2), point, final_exponentiate=False) * pairing(key, hashed, final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())


def test_three_of_four_sign_what_threshold_many_operators_approved_and_two_libraries_verify_it(world: World) -> None:
    request = world.place()
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_PENDING
    world.approve(request, 0, 1)
    assert EXTRACTIONS.find(world.chain.view, request) is None, "two operators of three needed: nothing is owed"
    world.approve(request, 2)
    signature = world.signed(request)
    record = SIGNINGS.get(world.chain.view, request)
    message = signed_bytes(world.chain.gid, record)
    assert verify_min_sig(world.public_key, message, signature)
    assert py_ecc_verifies(world.public_key, message, signature)
    assert not py_ecc_verifies(world.public_key, message + b"!", signature)
    found = REQUESTS.get(world.chain.view, request)
    assert (found.status, found.answers) == (custody_pb2.REQUEST_STATUS_COMPLETED, 3)
    assert ORDERS.get(world.chain.view, record.order).status == custody_pb2.ORDER_STATUS_CLOSED
    assert COUNTERS.get(world.chain.view, world.alice.identity).open_orders == 0


def test_the_same_signature_comes_out_whoever_signs(world: World) -> None:
    one, other = copy.deepcopy(world), world
    signatures = []
    for each, numbers in ((one, (0, 1, 2)), (other, (3, 2, 1))):
        request = each.place()
        each.approve(request, 0, 1, 2)
        assert [each.answer(number, request) for number in numbers] == [0, 0, 0]
        signatures.append(SIGNINGS.get(each.chain.view, request).signature)
    assert signatures[0] == signatures[1]


def test_what_is_signed_names_ledger_key_and_kind_so_it_is_nothing_elses(world: World) -> None:
    gid, key = world.chain.gid, world.dealt.id
    usual = statements.signing_message(gid, key, "release", b"m", b"")
    others = [
        statements.signing_message(seeded("gid"), key, "release", b"m", b""),
        statements.signing_message(gid, seeded("key"), "release", b"m", b""),
        statements.signing_message(gid, key, "payment", b"m", b""),
        statements.signing_message(gid, key, "release", b"", sha256(b"m").digest()),
        statements.signing_message(gid, key, "release", sha256(b"m").digest(), b""),
        b"m",
    ]
    assert usual.startswith(b"\x00\x00\x00\x0dDTA-v1-signed")
    assert len({usual, *others}) == 7


def test_raw_bytes_are_signed_only_where_governance_allows_it(world: World) -> None:
    """(!) Else somebody could have a signature over something that means something elsewhere."""
    foreign = statements.signing_message(world.chain.gid, world.dealt.id, "payment", b"all to mallory", b"")
    raw = world.message(message=foreign, raw=True)
    refused(world.chain.run(world.alice, raw), Code.RAW_NOT_ALLOWED)
    world.set_policy(k_of(1, world.alice.identity), raw=True)
    request = world.place(message=b"a round of a beacon", raw=True)
    signature = world.signed(request)
    assert verify_min_sig(world.public_key, b"a round of a beacon", signature)
    world.set_policy(k_of(1, world.alice.identity), tag="again")
    raw.nonce = seeded("later")
    refused(world.chain.run(world.alice, raw), Code.RAW_NOT_ALLOWED)


def test_nobody_has_something_signed_by_a_policy_of_her_own(world: World) -> None:
    """The order's policy comes on top of the key's: it never replaces it."""
    request = world.place(policy=single(world.alice.identity))
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_PENDING
    refused(world.decide(world.alice, request), Code.ALREADY_DONE, "decided", why="asking was approving")
    world.approve(request, 0, 1, 2)
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_GRANTED
    stricter = world.place(nonce=seeded("m"), policy=single(world.bob.identity))
    world.approve(stricter, 0, 1, 2, 3)
    assert REQUESTS.get(world.chain.view, stricter).status == custody_pb2.REQUEST_STATUS_PENDING
    assert world.decide(world.bob, stricter).code == 0
    assert REQUESTS.get(world.chain.view, stricter).status == custody_pb2.REQUEST_STATUS_GRANTED
    refused(world.decide(world.chain.founders[0], stricter, veto=True), Code.NO_VETO_WINDOW, "veto")


def test_a_veto_ends_a_signing_order_and_what_was_owed(world: World) -> None:
    policy = k_of(1, world.alice.identity, world.bob.identity)
    policy.veto_window_s = 100
    world.set_policy(policy)
    request = world.place()
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_GRANTED
    assert world.decide(world.bob, request, veto=True).code == 0
    record = REQUESTS.get(world.chain.view, request)
    assert record.status == custody_pb2.REQUEST_STATUS_VETOED
    assert ORDERS.get(world.chain.view, record.order).status == custody_pb2.ORDER_STATUS_CLOSED
    world.chain.block(seconds=200)
    assert EXTRACTIONS.find(world.chain.view, request) is None, "nothing was ever owed"


def test_a_signing_order_ends_with_its_deadline(world: World) -> None:
    request = world.place()
    world.chain.block(seconds=86_400)
    record = REQUESTS.get(world.chain.view, request)
    assert record.status == custody_pb2.REQUEST_STATUS_EXPIRED
    assert ORDERS.get(world.chain.view, record.order).status == custody_pb2.ORDER_STATUS_CLOSED
    assert COUNTERS.get(world.chain.view, world.alice.identity).open_orders == 0


def test_a_signing_order_has_its_one_request(world: World) -> None:
    request = world.place()
    order = REQUESTS.get(world.chain.view, request).order
    message = tx_pb2.RequestSecret(
        order=order, nonce=seeded("x"), beneficiary=world.alice.identity, transport_key=bytes(48),
        possession=bytes(80),
    )
    refused(world.chain.run(world.alice, message), Code.NOT_ALLOWED, "signing-order")


def test_a_signer_has_no_more_orders_open_than_it_may(world: World) -> None:
    set_params(world.chain, max_open_orders_per_identity=1)
    world.place()
    more = world.message(nonce=seeded("more"))
    refused(world.chain.run(world.alice, more), Code.TOO_MANY, "open-signing-orders")


def test_a_sum_of_shares_that_does_not_verify_is_no_signature(world: World) -> None:
    """Each share was proved when it came; the sum is checked all the same, before it is stored."""
    request = world.place()
    world.approve(request, 0, 1, 2)
    signature = world.signed(request)
    state = Overlay(world.chain.view)
    context = context_over(state, world.chain.gid, world.chain.height, world.chain.time_s)
    record, signing = EXTRACTIONS.get(state, request), SIGNINGS.get(state, request)
    made = signing_orders._signature(context, record, signed_bytes(world.chain.gid, signing))
    assert made == signature
    refused(lambda: signing_orders._signature(context, record, b"another message"), Code.BAD_PARTIAL, "signature")


def test_a_share_that_is_wrong_or_blinded_or_of_another_request_never_counts(world: World) -> None:
    request, other = world.place(), world.place(nonce=seeded("m"), message=b"v6.6.6")
    for each in (request, other):
        world.approve(each, 0, 1, 2)
    one = world.chain.founders[0]
    right: Any = message_of(world.chain.view, world.chain.gid, world.dealt, one, request)
    elsewhere: Any = message_of(world.chain.view, world.chain.gid, world.dealt, one, other)
    elsewhere.request = request
    refused(world.chain.result(one, elsewhere), Code.BAD_PARTIAL, "proof")
    blinded = tx_pb2.FulfilSecret(request=request, epoch=1, partial=UNPROVED_BLINDED)
    refused(world.chain.result(one, blinded), Code.WRONG_FORM, "use")
    partials = pb.SubmitPartials(request=request, epoch=1, partials=[UNPROVED_BLINDED])
    refused(world.chain.result(one, partials), Code.WRONG_FORM, "use")
    assert world.chain.result(one, right).code == Code.OK
    refused(world.chain.result(one, right), Code.ALREADY_DONE, "extraction")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": ""}, Because(Code.BAD_SIGNING_ORDER, "kind")),
        ({"kind": "Release"}, Because(Code.BAD_SIGNING_ORDER, "kind")),
        ({"message": b"m" * 2_049}, Because(Code.BAD_SIGNING_ORDER, "message")),
        ({"digest": bytes(32)}, Because(Code.BAD_SIGNING_ORDER, "digest")),
        ({"message": b"", "digest": bytes(31)}, Because(Code.BAD_SIGNING_ORDER, "digest")),
        ({"message": b"", "digest": bytes(32), "raw": True}, Because(Code.BAD_SIGNING_ORDER, "digest")),
        ({"policy": custody_pb2.Policy()}, Because(Code.BAD_POLICY, "node-count")),
        ({"authority": bytes(32)}, Because(Code.UNKNOWN_AUTHORITY, "asked")),
        ({"nonce": b""}, Because(Code.FIELD_INVALID, "nonce")),
        ({"policy": k_of(1, *(seeded(n) for n in range(31)))}, Because(Code.BAD_POLICY, "size")),
        ({}, TAKEN),
    ],
)
def test_what_a_signing_order_may_be(world: World, changes: dict[str, Any], code: Because) -> None:
    assert because(world.chain.run(world.alice, world.message(**changes))) == code
    again = because(world.chain.run(world.alice, world.message()))
    assert again == (Because(Code.DUPLICATE, "signing-order") if code == TAKEN else TAKEN)


def test_a_key_for_custody_signs_nothing(world: World) -> None:
    """(!) A key of one purpose is never used for another."""
    custody = install_new(world.chain, CUSTODY)
    refused(world.chain.run(world.alice, world.message(authority=custody.id)), Code.WRONG_PURPOSE, "asked")
    message = pb.SetSigningPolicy(authority=custody.id, policy=single(world.alice.identity))
    propose = governance.pb.Propose(nonce=seeded("p"), action=governance.pb.Action(set_signing_policy=message))
    refused(world.chain.run(world.chain.founders[0], propose), Code.WRONG_PURPOSE, "asked")


def test_two_policies_joined_want_both() -> None:
    """By cases: gates, windows, vetoers, times."""
    a, b, c = (seeded(name) for name in "abc")
    first, second = k_of(2, a, b, veto_window_s=10, not_after_s=90), single(c)
    joined = signing_orders.both(first, second)
    assert not rules.satisfied(joined, [a, b])
    assert not rules.satisfied(joined, [a, c])
    assert rules.satisfied(joined, [a, b, c])
    assert (joined.veto_window_s, joined.not_before_s, joined.not_after_s) == (10, 0, 90)
    assert rules.vetoers(joined, a) == [a, b, c]
    second.veto_window_s, second.not_before_s, second.not_after_s = 20, 5, 80
    second.vetoers.append(c)
    first.vetoers.append(a)
    joined = signing_orders.both(first, second)
    assert (joined.veto_window_s, joined.not_before_s, joined.not_after_s) == (20, 5, 80)
    assert list(joined.vetoers) == [a, c]


@pytest.mark.parametrize("named", ["first", "second"])
def test_vetoers_by_default_are_not_lost_beside_some_that_are_named(named: str) -> None:
    a, b, c = (seeded(name) for name in "abc")
    policies = {"first": k_of(1, a, veto_window_s=10), "second": k_of(1, b, veto_window_s=20)}
    policies[named].vetoers.append(c)
    joined = signing_orders.both(policies["first"], policies["second"])
    assert list(joined.vetoers) == []
    assert rules.vetoers(joined, c) == [a, b, c], "all parties of both, and the principal"
