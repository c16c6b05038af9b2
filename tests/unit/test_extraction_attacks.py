"""Attacks on extraction that were run against earlier drafts, tried on keys made by real ceremonies and real hooks."""

from __future__ import annotations

import pytest

from abci_app.authority import epochs
from abci_app.authority.bases import custody_point
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.crypto.bls import verify_min_sig
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import combine
from abci_app.custody.releases import signed_bytes
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, tx_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state.overlay import Overlay
from abci_app.state.records import (
    AUTHORITIES,
    EXTRACTION_ITEMS,
    EXTRACTIONS,
    IDENTITIES,
    ORDERS,
    PARTIALS,
    REQUESTS,
    SIGNINGS,
)
from dta.base.secret import SecretBytes
from dta.crypto import ibe
from dta.crypto.extraction import Transport, make_transport
from dta.crypto.scalar import SecretScalar
from dta.custodians.mpc_bls import MpcBls
from dta.custodians.plugin import Extracted, PreparedOrder, PrepareInput, Recovered, RecoverInput
from dta.node.ceremonies import extracting
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from tests.support.actors import Actor, seeded
from tests.support.authority import MFA, UNPROVED, context_over, deal, install, open_mfa
from tests.support.ceremonies import Consortium, consortium
from tests.support.chain import Chain
from tests.support.custody import single
from tests.support.refusals import fault_of, refused
from tests.support.transcript import Partial, Transcript, leaks
from tests.support.world import without_sweep

SECRET = SecretBytes(b"the treasure is under the oak")


# --- the transcript -----------------------------------------------------------------------------------------------


def answered_mfa() -> tuple[Chain, Transcript, list[Partial]]:
    """An mfa key whose clients, servers and permits were all answered; all that was ever public."""
    chain, transcript = Chain(4), Transcript()
    dealt = install(chain, deal([founder.identity for founder in chain.founders], MFA))
    opened = []
    for use in (pb.USE_CLIENT, pb.USE_SERVER, pb.USE_PERMIT):
        state = Overlay(chain.view)
        context = context_over(state, chain.gid, chain.height, chain.time_s)
        opened.append(open_mfa(context, dealt, use, items=2, deadline_time_s=chain.time_s + 1_000)[0])
        chain.view.apply(state.changes())
    for request in opened:
        for founder in chain.founders[:3]:
            record = EXTRACTIONS.get(chain.view, request)
            share = dealt.shares[founder.identity][1]
            message = extracting.answer(
                chain.view, chain.gid, record, dealt.member(founder.identity), SecretScalar(share)
            )
            assert chain.result(founder, message).code == 0
            transcript.note(chain)
    partials = []
    for request in opened:
        record = EXTRACTIONS.get(chain.view, request)
        for number in range(record.items):
            item = EXTRACTION_ITEMS.get(chain.view, request, number)
            for founder in chain.founders[:3]:
                partial = PARTIALS.get(chain.view, request, number, record.epoch, founder.identity)
                if partial.c1:
                    partials.append((item, partial))
    return chain, transcript, partials


def test_nothing_public_is_a_g2_multiple_of_an_mfa_key_or_of_what_blinds_its_clients() -> None:
    """(!) With s*g2, x*g2 or r*g2 in hand, a stolen token's PIN is found offline by a pairing."""
    chain, transcript, partials = answered_mfa()
    found = {key: value for key, value in chain.view.leaves.items() if key.startswith(AUTHORITIES.prefix)}
    (authority,) = (authority_pb2.AuthorityRecord.FromString(value) for value in found.values())
    shares = [member.public_share for member in epochs.members(chain.view, authority.id, authority.epoch)]
    points = transcript.points_of_g2()
    bases = {item.base for item, _ in partials if len(item.base) == G2.BYTES}
    assert {point.encode() for point in points} >= bases, "the servers' bases and answers are among what is looked at"
    assert len(points) >= 2 + 2 + 2 * 3 * 4, "bases, transport keys, and of each partial c1, c3, two announcements"
    assert leaks(points, authority.public_key_g1, shares, partials) == []


def test_the_search_finds_each_kind_of_leak() -> None:
    chain = Chain(1)
    dealt = deal([chain.founders[0].identity], MFA)
    s, x, q = dealt.secret, 7, G2.hash(b"Q", b"T")
    public = (G1.generator() * s).encode()
    client = pb.ExtractionItem(base=G1.hash(b"A", b"T").encode(), transport=(G1.generator() * x).encode())
    server = pb.ExtractionItem(base=q.encode(), transport=(G2.generator() * x).encode())
    partial = pb.PartialRecord(c1=(G1.generator() * 11).encode())
    for planted, name in (
        (G2.generator() * s, "the key times g2"), (q * s, "the key times Q"), (G2.generator() * x, "x of 0 times g2"),
        (G2.generator() * 11, "r of 0 times g2"),
    ):  # fmt: skip
        transcript = Transcript()
        transcript.add([b"in the middle" + planted.encode() + b"of something"])
        pairs = [(client, partial), (server, pb.PartialRecord())]
        assert name in leaks(transcript.points_of_g2(), public, [], pairs)


def test_an_mfa_authority_in_state_publishes_no_key_in_g2() -> None:
    chain, _, _ = answered_mfa()
    records = [value for key, value in chain.view.leaves.items() if key.startswith(AUTHORITIES.prefix)]
    assert [authority_pb2.AuthorityRecord.FromString(value).public_key_g2 for value in records] == [b""]


# --- real ceremonies, real hooks ----------------------------------------------------------------------------------


class Safe:
    """Four fiduciaries with a custody key from a ceremony; alice entrusts to bob."""

    def __init__(self) -> None:
        self.group: Consortium = consortium(4)
        self.key = self.group.make(purpose=authority_pb2.PURPOSE_CUSTODY)
        self.alice, self.bob = Actor("alice"), Actor("bob")
        self.chain.register(self.alice, self.bob)

    @property
    def chain(self) -> Chain:
        return self.group.chain

    def place(self, expires_at_time_s: int = 0) -> tuple[bytes, PreparedOrder]:
        prepared = MpcBls().prepare(
            PrepareInput(
                gid=self.chain.gid, principal=self.alice.identity, vault=custody_pb2.VaultRecord(), keys={},
                threshold=0, policy=single(self.bob.identity),
                rule=custody_pb2.BeneficiaryRule(identity=self.bob.identity),
                salt=seeded("salt", self.chain.height), secret=SECRET, bls=self.alice.bls_key, time_s=1,
                authority=self.group.authority(self.key),
            )
        )  # fmt: skip
        prepared.message.expires_at_time_s = expires_at_time_s
        result = self.chain.run(self.alice, prepared.message)
        assert result.code == 0, result
        return result.data, prepared

    def ask(self, order: bytes) -> tuple[bytes, Transport]:
        nonce = seeded("ask", self.chain.height)
        request = statements.request_id(self.chain.gid, order, self.bob.identity, nonce)
        made = make_transport(G1, self.chain.gid, pb.USE_CUSTODY, request, order, self.bob.identity)
        message = tx_pb2.RequestSecret(
            order=order, nonce=nonce, beneficiary=self.bob.identity, transport_key=made.point, possession=made.proof
        )
        assert self.chain.run(self.bob, message).code == 0
        return request, made

    def recover(self, request: bytes, made: Transport, prepared: PreparedOrder) -> Recovered:
        view = self.chain.view
        record = EXTRACTIONS.get(view, request)
        members = {one.fiduciary: one for one in epochs.members(view, record.authority, record.epoch)}
        partials = {
            who: found
            for who in members
            if (found := PARTIALS.find(view, request, 0, record.epoch, who)) is not None
        }
        extracted = Extracted(
            AUTHORITIES.get(view, record.authority), record, EXTRACTION_ITEMS.get(view, request, 0), members, partials,
            made.secret,
        )  # fmt: skip
        asked = REQUESTS.get(view, request)
        return MpcBls().recover(
            RecoverInput(
                gid=self.chain.gid, order=ORDERS.get(view, asked.order), vault=custody_pb2.VaultRecord(), request=asked,
                principal=IDENTITIES.get(view, self.alice.identity), envelope_block=prepared.envelope_block, answers={},
                keys={}, extracted=extracted,
            )
        )  # fmt: skip


@pytest.fixture
def safe() -> Safe:
    return Safe()


def test_an_order_under_a_key_from_a_ceremony_opens_and_opens_after_a_real_reshare(safe: Safe) -> None:
    order, prepared = safe.place()
    request, made = safe.ask(order)
    safe.group.step()
    assert EXTRACTIONS.get(safe.chain.view, request).status == pb.EXTRACTION_STATUS_COMPLETED
    assert safe.recover(request, made, prepared).secret == SECRET
    safe.group.reshare(safe.key)
    safe.group.run(safe.key)
    assert safe.group.authority(safe.key).epoch == 2
    later, again = safe.ask(order)
    safe.group.step()
    assert EXTRACTIONS.get(safe.chain.view, later).epoch == 2
    assert safe.recover(later, again, prepared).secret == SECRET


def test_a_share_of_another_epoch_makes_no_partial(safe: Safe) -> None:
    """A member that opened an old share would be refused; it refuses itself before anything is made."""
    order, _ = safe.place()
    request, _ = safe.ask(order)
    founder = safe.chain.founders[0]
    record = EXTRACTIONS.get(safe.chain.view, request)
    member = epochs.member_of(safe.chain.view, safe.key, record.epoch, founder.identity)
    other = safe.chain.founders[1]
    assert member is not None
    share = safe.group.share(safe.key, other)
    made = fault_of(lambda: extracting.answer(safe.chain.view, safe.chain.gid, record, member, share), CannotAnswer)
    assert made is Obstacle.OTHER_SHARE


def test_a_hook_answers_what_is_granted_by_the_state_of_now_and_no_more(safe: Safe) -> None:
    """Planned, then the request ended: state is read again before a partial is made, and none is."""
    order, _ = safe.place()
    request, _ = safe.ask(order)
    founder = safe.chain.founders[0]
    (job,) = safe.group.jobs(founder)
    assert isinstance(safe.group.answer(founder, job), tx_pb2.FulfilSecret)
    safe.chain.block(seconds=10_000_000)
    with pytest.raises(NotDue):
        safe.group.answer(founder, job)
    assert REQUESTS.get(safe.chain.view, request).status == custody_pb2.REQUEST_STATUS_EXPIRED


def test_a_hook_answers_no_order_that_expired_though_the_sweep_is_behind(
    safe: Safe, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_sweep(monkeypatch)
    order, _ = safe.place(safe.chain.time_s + 100)
    request, _ = safe.ask(order)
    founder = safe.chain.founders[0]
    (job,) = safe.group.jobs(founder)
    message = safe.group.answer(founder, job)
    safe.chain.block(seconds=200)
    assert EXTRACTIONS.get(safe.chain.view, request).status == pb.EXTRACTION_STATUS_PENDING
    with pytest.raises(NotDue):
        safe.group.answer(founder, job)
    refused(safe.chain.result(founder, message), Code.ORDER_NOT_OPEN, "request")


def test_threshold_less_one_partials_open_nothing_by_any_choice_of_weights(safe: Safe) -> None:
    """Two of three: the weights of every pair of members give a point that is not K, so the key check fails."""
    order, _ = safe.place()
    request, made = safe.ask(order)
    safe.group.down = safe.chain.founders[2:]
    safe.group.step()
    view = safe.chain.view
    record = EXTRACTIONS.get(view, request)
    assert (record.answers, record.threshold) == (2, 3)
    opened = []
    for founder in safe.chain.founders[:2]:
        partial = PARTIALS.get(view, request, 0, record.epoch, founder.identity)
        secret = made.secret.reveal()
        seat = epochs.member_of(view, safe.key, record.epoch, founder.identity)
        assert seat is not None
        opened.append((seat.index, G1.decode(partial.c3) - G1.decode(partial.c1) * secret))
    authority, item = AUTHORITIES.get(view, safe.key), ORDERS.get(view, order)
    to = ibe.Recipient(item.identity, custody_point(item.identity), authority.id, G2.decode(authority.public_key_g2))
    assert not ibe.is_identity_key(to, combine(G1, opened))
    for _, point in opened:
        assert not ibe.is_identity_key(to, point)


def test_a_signature_by_three_of_four_under_a_key_from_a_ceremony() -> None:
    group = consortium(4)
    key = group.make(purpose=authority_pb2.PURPOSE_SIGNING)
    order = pb.PlaceSigningOrder(nonce=seeded("n"), authority=key, kind="release", message=b"1.0", names=4)
    request = group.chain.run(group.chain.founders[0], order).data
    digest = REQUESTS.get(group.chain.view, request).content_digest
    for founder in group.chain.founders[1:3]:
        approval = tx_pb2.ApproveRequest(request=request, content_digest=digest)
        assert group.chain.run(founder, approval).code == 0
    group.down = [group.chain.founders[3]]
    group.step()
    signed = SIGNINGS.get(group.chain.view, request)
    message = signed_bytes(group.chain.gid, signed)
    assert verify_min_sig(group.authority(key).public_key_g2, message, signed.signature)
    late = group.chain.founders[3]
    assert group.jobs(late) == [], "what is complete is owed by nobody"
    stale = pb.SubmitUnblinded(request=request, epoch=1, partials=[UNPROVED])
    refused(group.chain.result(late, stale), Code.EXTRACTION_ENDED)
