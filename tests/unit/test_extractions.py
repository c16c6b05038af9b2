"""Requests for s*H(x) on the ledger: who answers, what counts, what is refused, and what an epoch does to them."""

from __future__ import annotations

import copy
from functools import cache
from random import Random
from typing import Any

import pytest

from abci_app.authority import extractions, proofs
from abci_app.block import Changes, TxResult
from abci_app.codes import Code
from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.crypto.extraction import Blinded
from abci_app.errors import Refusal
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.overlay import Overlay
from abci_app.state.records import AUTHORITIES, EXTRACTION_ITEMS, EXTRACTION_LOADS, EXTRACTIONS, PARTIALS
from dta.crypto import extraction
from dta.crypto.extraction import TooFewPartials, Transport, make_transport
from dta.crypto.scalar import SecretScalar
from tests.support.actors import Actor, seeded
from tests.support.authority import (
    CUSTODY,
    MFA,
    SIGNING,
    UNPROVED,
    Dealt,
    answer,
    context_over,
    install_new,
    message_of,
    open_mfa,
    reshare,
    scalar,
    spoilt,
)
from tests.support.chain import Chain
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import only_consumed, set_params, without_sweep

TTL_S = 100


class World:
    """Four fiduciaries with an mfa key of three, and a request of two clients."""

    def __init__(self, use: pb.Use = pb.USE_CLIENT, items: int = 2) -> None:
        self.chain = Chain(4)
        self.dealt = install_new(self.chain, MFA)
        self.request, self.receivers = self.open(use, items=items)
        self.chain.block()

    def open(self, use: pb.Use = pb.USE_CLIENT, *, items: int = 2, tag: object = 0) -> tuple[bytes, list[int]]:
        state = Overlay(self.chain.view)
        context = context_over(state, self.chain.gid, self.chain.height, self.chain.time_s)
        made = open_mfa(context, self.dealt, use, items=items, deadline_time_s=self.chain.time_s + TTL_S, tag=tag)
        self.chain.view.apply(state.changes())
        return made

    def dealt_g2(self) -> bytes:
        """A point of the other group."""
        return G2.generator().encode()

    @property
    def members(self) -> list[Actor]:
        return self.chain.founders

    @property
    def record(self) -> pb.ExtractionRecord:
        return EXTRACTIONS.get(self.chain.view, self.request)

    def message(self, number: int) -> Any:
        return message_of(self.chain.view, self.chain.gid, self.dealt, self.members[number], self.request)

    def answer(self, number: int) -> int:
        return answer(self.chain, self.dealt, self.members[number], self.request).code

    def send(self, number: int, message: Any) -> TxResult:
        """Refused results leave nothing but the mark that they were included."""
        member = self.members[number]
        result = self.chain.block(self.chain.tx(member, message, key=member.node_key))
        if result.tx_results[0].code:
            assert only_consumed(result.changes, self.chain.height - 1 + 50)
        return result.tx_results[0]

    def opened(self, item: int, answers: int | None = None) -> Any:
        """What the receiver of an item makes of the partials on the ledger."""
        record = self.record
        leaf = EXTRACTION_ITEMS.get(self.chain.view, self.request, item)
        found = []
        for index, member in enumerate(sorted(self.dealt.shares), start=1):
            partial = PARTIALS.find(self.chain.view, self.request, item, record.epoch, member)
            if partial is not None:
                by = proofs.answerer(self.dealt.member(member))
                assert by.index == index
                found.append((by, Blinded(partial.c1, partial.c3, partial.proof)))
        group = proofs.group_of(record.use)
        transport = Transport(SecretScalar(self.receivers[item]), leaf.transport, b"")
        asked = proofs.asked(self.chain.gid, record, self.dealt.purpose, item)
        return extraction.open_blinded(asked, record.threshold, group.decode(leaf.base), transport, found[:answers])


@cache
def _made(use: pb.Use) -> World:
    return World(use)


@pytest.fixture
def world() -> World:
    return copy.deepcopy(_made(pb.USE_CLIENT))


def owed(world: World, kind: DueKind) -> list[int]:
    """Who owes an answer of that kind, by number."""
    chain = world.chain
    return [
        number
        for number, member in enumerate(world.members)
        if due.is_due(chain.view, member.identity, kind, world.request, chain.time_s, chain.height + 1)
    ]


def test_threshold_many_answers_complete_a_request_and_its_receivers_open_each_item(world: World) -> None:
    assert owed(world, DueKind.SUBMIT_PARTIALS) == [0, 1, 2, 3]
    assert [world.answer(number) for number in (0, 1)] == [0, 0]
    assert (world.record.status, world.record.answers) == (pb.EXTRACTION_STATUS_PENDING, 2)
    assert owed(world, DueKind.SUBMIT_PARTIALS) == [2, 3]
    assert world.answer(3) == 0
    assert world.record.status == pb.EXTRACTION_STATUS_COMPLETED
    assert owed(world, DueKind.SUBMIT_PARTIALS) == []
    assert EXTRACTION_LOADS.get(world.chain.view, world.dealt.id).open == 0
    for item in (0, 1):
        base = G1.decode(EXTRACTION_ITEMS.get(world.chain.view, world.request, item).base)
        assert world.opened(item) == base * world.dealt.secret


def test_a_server_secret_is_opened_in_g2_and_permits_are_in_clear() -> None:
    server = copy.deepcopy(_made(pb.USE_SERVER))
    assert [server.answer(number) for number in (0, 1, 2)] == [0, 0, 0]
    base = G2.decode(EXTRACTION_ITEMS.get(server.chain.view, server.request, 1).base)
    assert server.opened(1) == base * server.dealt.secret
    permits = copy.deepcopy(_made(pb.USE_PERMIT))
    assert owed(permits, DueKind.SUBMIT_UNBLINDED) == [0, 1, 2, 3]
    assert [permits.answer(number) for number in (0, 1, 2)] == [0, 0, 0]
    assert permits.record.status == pb.EXTRACTION_STATUS_COMPLETED


def test_one_partial_too_few_opens_nothing(world: World) -> None:
    """Two of three: the opening refuses; combined all the same, they are no multiple of the base by the secret."""
    for number in (0, 1):
        world.answer(number)
    with pytest.raises(TooFewPartials):
        world.opened(0)
    state = Overlay(world.chain.view)
    record = world.record
    record.threshold = 2  # what somebody would try
    EXTRACTIONS.put(state, record, world.request)
    world.chain.view.apply(state.changes())
    base = G1.decode(EXTRACTION_ITEMS.get(world.chain.view, world.request, 0).base)
    assert world.opened(0) != base * world.dealt.secret


def test_an_answer_counts_once_and_none_counts_after_the_threshold(world: World) -> None:
    first, late = world.message(0), world.message(3)
    assert world.send(0, first).code == Code.OK
    refused(world.send(0, first), Code.ALREADY_DONE, "extraction")
    assert world.record.answers == 1
    assert [world.answer(1), world.answer(2)] == [0, 0]
    refused(world.send(3, late), Code.EXTRACTION_ENDED)
    refused(
        world.chain.check(world.chain.tx(world.members[3], late, key=world.members[3].node_key)),
        Code.NOT_DUE,
        "not-early",
    )


SPOILT = (
    Because(Code.BAD_PARTIAL, "proof"), Because(Code.BAD_PARTIAL, "blinded-form"),
    Because(Code.BAD_ITEMS, "not-as-asked"), Because(Code.WRONG_EPOCH, "asked"),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(16))
def test_a_spoilt_answer_is_refused_and_its_member_may_answer_again(world: World, seed: int) -> None:
    message = world.message(0)
    spoilt_one = spoilt_message(seed, message)
    assert because(world.send(0, spoilt_one)) in SPOILT, seed
    assert world.record.answers == 0
    assert world.send(0, message).code == Code.OK


def test_an_answer_to_fewer_items_or_more_than_were_asked_for_is_refused(world: World) -> None:
    for change in (lambda made: made.partials.pop(), lambda made: made.partials.append(made.partials[0])):
        message = world.message(0)
        change(message)
        refused(world.send(0, message), Code.BAD_ITEMS, "not-as-asked")
    assert world.record.answers == 0


def spoilt_message(seed: int, message: Any) -> Any:
    changed = type(message)()
    changed.CopyFrom(message)
    return spoilt(Random(seed), changed)


def test_a_partial_of_another_member_or_request_or_item_is_refused(world: World) -> None:
    mine = world.message(0)
    refused(world.send(1, mine), Code.BAD_PARTIAL, "proof", why="the index and the public share are in the proof")
    swapped = world.message(0)
    swapped.partials[0].CopyFrom(mine.partials[1])
    swapped.partials[1].CopyFrom(mine.partials[0])
    refused(world.send(0, swapped), Code.BAD_PARTIAL, "proof")
    other, _ = world.open(tag="other")
    world.chain.block()
    mine.request = other
    refused(world.send(0, mine), Code.BAD_PARTIAL, "proof", why="replayed into another request")


def test_a_partial_made_with_another_keys_share_is_refused(world: World) -> None:
    """The same member's share of the custody key: another purpose, another secret."""
    custody = install_new(world.chain, CUSTODY)
    forged = Dealt(**{**vars(world.dealt), "shares": custody.shares})
    member = world.members[0]
    record, item = world.record, EXTRACTION_ITEMS.get(world.chain.view, world.request, 0)
    share = SecretScalar(forged.shares[member.identity][1])
    asked = proofs.asked(world.chain.gid, record, CUSTODY, 0)
    made = extraction.blind(
        asked, forged.shares[member.identity][0], share, G1.decode(item.base), G1.decode(item.transport)
    )
    message = world.message(0)
    message.partials[0].CopyFrom(pb.BlindedPartial(c1=made.c1, c3=made.c3, proof=made.proof))
    refused(world.send(0, message), Code.BAD_PARTIAL, "proof")


def test_points_that_are_none_are_refused(world: World) -> None:
    message = world.message(0)
    identity = bytes([0xC0]) + bytes(47)
    for field in ("c1", "c3"):
        for bad in (identity, bytes(48), b"\xff" * 48, world.dealt_g2()[:48]):
            changed = pb.SubmitPartials()
            changed.CopyFrom(message)
            setattr(changed.partials[0], field, bad)
            refused(world.send(0, changed), Code.BAD_PARTIAL, "proof", why=f"{field} {bad.hex()}")


def test_who_holds_no_share_or_answers_by_the_wrong_message_is_refused(world: World) -> None:
    reshare(world.chain, world.dealt, [member.identity for member in world.members[:3]], 2)
    message = world.message(0)
    refused(world.send(3, message), Code.NOT_A_MEMBER)
    unblinded = pb.SubmitUnblinded(request=world.request, epoch=message.epoch, partials=[UNPROVED] * 2)
    refused(world.send(0, unblinded), Code.WRONG_FORM, "use")
    message.request = bytes(32)
    refused(world.send(0, message), Code.UNKNOWN_EXTRACTION)


def test_a_request_expires_by_block_time_before_the_sweep_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = world.message(0)
    without_sweep(monkeypatch)
    world.chain.block(seconds=TTL_S)
    refused(world.send(0, message), Code.DEADLINE_PASSED, "extraction")
    assert world.record.status == pb.EXTRACTION_STATUS_PENDING
    monkeypatch.undo()
    world.chain.block()
    assert world.record.status == pb.EXTRACTION_STATUS_EXPIRED
    assert owed(world, DueKind.SUBMIT_PARTIALS) == []
    refused(world.send(0, message), Code.EXTRACTION_ENDED)


def test_another_epoch_starts_a_pending_request_again_and_old_partials_do_not_count(world: World) -> None:
    old = world.message(2)
    assert [world.answer(0), world.answer(1)] == [0, 0]
    newcomer = Actor("newcomer", fiduciary=True)
    world.chain.register(newcomer)
    ids = [world.members[0].identity, world.members[1].identity, newcomer.identity]
    reshare(world.chain, world.dealt, ids, 3)
    assert (world.record.epoch, world.record.answers, world.record.restarts) == (2, 0, 1)
    assert owed(world, DueKind.SUBMIT_PARTIALS) == [0, 1]
    refused(world.send(2, old), Code.WRONG_EPOCH, "asked", why="a member that left")
    old.epoch = 2
    refused(world.send(2, old), Code.NOT_A_MEMBER)
    for member in (world.members[0], world.members[1], newcomer):
        assert answer(world.chain, world.dealt, member, world.request).code == 0
    assert world.record.status == pb.EXTRACTION_STATUS_COMPLETED
    base = G1.decode(EXTRACTION_ITEMS.get(world.chain.view, world.request, 0).base)
    assert world.opened(0) == base * world.dealt.secret, "the key is the same"


def test_a_completed_request_stays_complete_in_the_next_epoch(world: World) -> None:
    for number in range(3):
        world.answer(number)
    before = world.record
    reshare(world.chain, world.dealt, [member.identity for member in world.members], 3)
    assert world.record == before


def test_blindings_are_fresh_for_each_item_and_each_request(world: World) -> None:
    """(!) One r for two items hands a client the difference of two secrets."""
    again = [world.message(0) for _ in range(2)]
    points = [partial.c1 for message in again for partial in message.partials]
    assert len(set(points)) == 4
    announced = [partial.proof[:48] for message in again for partial in message.partials]
    assert len(set(announced)) == 4


def test_with_one_r_for_two_items_the_difference_of_two_secrets_would_be_open() -> None:
    """The attack that the rule closes, run: whoever knows one transport key learns another's secret but for hers."""
    s, r, x = scalar("s"), scalar("r"), scalar("x")
    mine, other = G1.hash(b"mine", b"T"), G1.hash(b"other", b"T")
    transport = G1.generator() * x  # one receiver's key, used for both
    c3_mine, c3_other = mine * s + transport * r, other * s + transport * r
    assert c3_mine - c3_other == mine * s - other * s


# --- opening ------------------------------------------------------------------------------------------------------


def attempt(world: World, **changes: Any) -> Because:
    """Open a request, with changes: what it is refused with."""
    state = Overlay(world.chain.view)
    context = context_over(state, world.chain.gid, world.chain.height, world.chain.time_s)
    request, whom = changes.pop("request", seeded("r")), seeded("whom")
    use, subject = changes.pop("use", pb.USE_CLIENT), world.dealt.realm
    made = changes.pop("transport", None) or transport_of(world, request, whom, scalar("fresh"))
    items = changes.pop("items", [extractions.Item(G1.hash(b"a", b"T").encode(), whom, made.point, made.proof)])
    try:
        extractions.open_request(
            context, request=request, authority=changes.pop("authority", world.dealt.id), use=use, suite="TEST",
            subject=subject, items=items, deadline_time_s=world.chain.time_s + 9,
        )  # fmt: skip
    except Refusal as refusal:
        return because(refusal)
    world.chain.view.apply(state.changes())
    return TAKEN


def transport_of(world: World, request: bytes, whom: bytes, x: int, gid: bytes | None = None) -> Transport:
    return make_transport(
        G1, gid or world.chain.gid, pb.USE_CLIENT, request, world.dealt.realm, whom, SecretScalar(x)
    )


def test_a_transport_key_is_taken_once_for_the_request_that_its_possession_names(world: World) -> None:
    whom = seeded("whom")
    good = transport_of(world, seeded("r"), whom, scalar("fresh"))
    elsewhere = transport_of(world, seeded("another request"), whom, scalar("fresh"))
    refused(attempt(world, transport=elsewhere), Code.BAD_POSSESSION, "proof")
    refused(
        attempt(world, transport=transport_of(world, seeded("r"), seeded("someone"), 5)), Code.BAD_POSSESSION, "proof"
    )
    regenesis = transport_of(world, seeded("r"), whom, 5, gid=seeded("the same chain id, another genesis"))
    refused(attempt(world, transport=regenesis), Code.BAD_POSSESSION, "proof")
    assert attempt(world, transport=good) == TAKEN
    refused(attempt(world, transport=good), Code.POINT_USED, "point", why="(!) seen before")
    again = transport_of(world, seeded("r2"), whom, scalar("fresh"))
    refused(
        attempt(world, request=seeded("r2"), transport=again),
        Code.POINT_USED,
        "point",
        why="(!) in another request too",
    )
    twice = [extractions.Item(G1.hash(b"a", b"T").encode(), whom, again.point, again.proof)] * 2
    refused(attempt(world, request=seeded("r2"), items=twice), Code.POINT_USED, "point")


def test_a_transport_key_that_is_a_registered_key_or_no_point_is_refused(world: World) -> None:
    whom, person = seeded("whom"), Actor("alice")
    world.chain.register(person)
    secret = person.bls_key._scalar
    theirs = transport_of(world, seeded("r"), whom, secret)
    assert theirs.point == person.bls_key.public_key
    refused(attempt(world, transport=theirs), Code.POINT_USED, "key", why="(!) a registered key")
    shares = [share for _, share in world.dealt.shares.values()]
    for secret in (world.dealt.secret, *shares):
        of_the_key = transport_of(world, seeded("r"), whom, secret)
        refused(attempt(world, transport=of_the_key), Code.POINT_USED, "key", why="(!) the key itself, a public share")
    for bad in (bytes([0xC0]) + bytes(47), b"", bytes(48), world.dealt_g2()):
        refused(attempt(world, transport=Transport(SecretScalar(1), bad, bytes(80))), Code.BAD_TRANSPORT_KEY, "point")


def test_a_transport_key_of_a_scalar_that_can_be_guessed_is_its_makers_loss_alone(world: World) -> None:
    """The generator, its negative: who makes such a T gives away its own secret, as by publishing x. All are taken."""
    for number, weak in enumerate((1, ORDER - 1, 2)):
        request = seeded("weak", number)
        assert attempt(world, request=request, transport=transport_of(world, request, seeded("whom"), weak)) == TAKEN


def test_a_request_is_for_a_key_in_force_of_the_right_purpose_and_within_bounds(world: World) -> None:
    signing = install_new(world.chain, SIGNING)
    refused(attempt(world, authority=bytes(32)), Code.UNKNOWN_AUTHORITY, "asked")
    refused(attempt(world, authority=signing.id), Code.WRONG_PURPOSE, "asked", why="(!) a key serves one purpose")
    refused(attempt(world, items=[]), Code.BAD_ITEMS, "asked")
    refused(
        attempt(world, request=world.request, transport=transport_of(world, world.request, seeded("whom"), 7)),
        Code.DUPLICATE,
        "extraction",
    )
    unblinded = [extractions.Item(G1.hash(b"a", b"T").encode(), seeded("whom"), G1.generator().encode())]
    refused(attempt(world, use=pb.USE_PERMIT, items=unblinded), Code.BAD_TRANSPORT_KEY, "unwanted")
    set_params(world.chain, max_block_cost=2_000)
    refused(attempt(world), Code.BAD_ITEMS, "answer-cost", why="no answer to it could ever be in a block")
    set_params(world.chain, max_block_cost=4_000_000, max_open_extractions=1)
    refused(attempt(world), Code.AUTHORITY_BUSY)
    record = world.dealt.leaves()[AUTHORITIES.key(world.dealt.id)]
    retired = authority_pb2.AuthorityRecord.FromString(record)
    retired.status = authority_pb2.AUTHORITY_STATUS_RETIRED
    world.chain.view.apply(Changes(leaves=((AUTHORITIES.key(world.dealt.id), retired.SerializeToString()),)))
    refused(attempt(world), Code.AUTHORITY_NOT_ACTIVE, "asked")
