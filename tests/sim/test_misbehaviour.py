"""The table of misbehaviour: each row its own case, with real hooks (issue 5; docs/spec/authority.md, Ceremonies).

In each the honest get their key, or a clear failure that names the culprit, and nothing of theirs stands on the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf.message import Message

from abci_app.authority import rules
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.crypto.dealing import Dealing
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from dta.crypto.scalar import SecretScalar
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium, honest, only
from tests.support.misdealing import Change, accusation, dealt, on_the_ledger, secret_scalars, wrong_share_to
from tests.support.refusals import TAKEN, Because, because, refused

ORDER_FOUR = bytes.fromhex(  # a point of the curve outside the subgroup: x = 4, the smallest with a square
    "800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004"
)
OFF_CURVE = bytes([0x80, *bytes(46), 1])  # x = 1: x^3 + 4 is no square
IDENTITY = bytes([0xC0, *bytes(47)])
NOT_REDUCED = bytes([0x9F, *bytes([0xFF] * 47)])  # x above the field's prime


class Case:
    """Four fiduciaries with threshold three, the last of them dishonest."""

    def __init__(self, world: Consortium, authority: bytes) -> None:
        self.world = world
        self.authority = authority
        self.honest = world.chain.founders[:3]
        self.liar = world.chain.founders[3]

    def run(self) -> pb.CeremonyRecord:
        """To the end of the attempt."""
        return self.world.run(self.authority)

    def dealing(self, change: Change = lambda made: made, **given: object) -> Callable[[Message], Message]:
        """The liar deals so."""
        return lambda said: dealt(self.world, self.liar, said.ceremony, change, **given)  # type: ignore

    def check_key(self, ceremony: pb.CeremonyRecord, confirmed: int) -> None:
        """The honest have their key, of which nothing is on the ledger; it does what it should."""
        record = self.world.authority(self.authority)
        assert record.status == pb.AUTHORITY_STATUS_ACTIVE
        assert ceremony.phase == pb.CEREMONY_PHASE_DONE
        assert ceremony.confirmed == confirmed
        assert self.world.opens(self.authority, *self.honest)
        assert not self.world.opens(self.authority, *self.honest[:2])
        self.check_nothing_leaks(ceremony)

    def check_nothing_leaks(self, ceremony: pb.CeremonyRecord) -> None:
        assert on_the_ledger(self.world, secret_scalars(self.world, ceremony.id, self.honest)) == []


@pytest.fixture
def case() -> Case:
    world = consortium(ceremony_consent_blocks=3)
    authority = world.create()
    return Case(world, authority)


def consented(case: Case) -> Case:
    assert [result.code for result in case.world.consent(case.authority)] == [0] * 4
    return case


# --- silence ------------------------------------------------------------------------------------------------------
def test_without_an_operators_consent_it_does_not_begin_and_a_proposal_without_it_makes_the_key(case: Case) -> None:
    case.world.consent(case.authority, *case.honest)
    waiting = case.world.ceremony(case.world.authority(case.authority).ceremony)
    assert waiting.phase == pb.CEREMONY_PHASE_CONSENT
    while case.world.authority(case.authority).ceremony:
        case.world.step()
    failed = case.world.ceremony(waiting.id)
    assert (failed.failure, failed.next) == (pb.FAILURE_TOO_FEW_CONSENTED, b"")
    assert case.world.faults(failed) == {case.liar.name: pb.FAULT_NOT_CONSENTED}
    assert case.world.authority(case.authority).status == pb.AUTHORITY_STATUS_FAILED
    assert not any(store.made for store in case.world.keystores.values()), "no hook did anything"
    case.authority = case.world.make(*case.honest, threshold=2)
    assert case.world.opens(case.authority, *case.honest[:2])


def test_an_operator_that_declines_ends_it_at_once_and_alone_is_named(case: Case) -> None:
    case.world.consent(case.authority, case.honest[0])
    case.world.consent(case.authority, case.liar, decline=True)
    failed = case.world.ceremony(case.world.authority(case.authority).last_ceremony)
    assert (failed.phase, failed.failure) == (pb.CEREMONY_PHASE_FAILED, pb.FAILURE_TOO_FEW_CONSENTED)
    assert case.world.faults(failed) == {case.liar.name: pb.FAULT_DECLINED}, "the others had no time to answer"


def test_silent_in_accept_the_same_are_tried_so_often_and_then_it_is_named(case: Case) -> None:
    consented(case).world.behave = only(case.liar, DueKind.ACCEPT_CEREMONY, lambda _: None)
    last = case.run()
    tried = case.world.attempts(case.authority)
    assert [one.failure for one in tried] == [pb.FAILURE_TOO_FEW_ACCEPTED] * rules.MAX_WITH_TERMS
    assert [one.with_terms for one in tried] == [1, 2, 3]
    for one in tried:
        assert one.terms == tried[0].terms
        assert case.world.faults(one) == {case.liar.name: pb.FAULT_SILENT_ACCEPT}
    # Three that need three: that is not begun by itself.
    assert (last.id, last.next) == (tried[-1].id, b"")
    assert case.world.authority(case.authority).status == pb.AUTHORITY_STATUS_FAILED
    assert all(store.labels() == [] for store in case.world.keystores.values())
    case.world.behave = honest
    case.authority = case.world.make(*case.honest, threshold=2)
    assert case.world.opens(case.authority, *case.honest[1:])


def test_silent_in_deal_it_keeps_its_seat_without_a_dealing(case: Case) -> None:
    consented(case).world.behave = only(case.liar, DueKind.DEAL_SHARES, lambda _: None)
    ceremony = case.run()
    case.check_key(ceremony, confirmed=4)
    assert (ceremony.dealt, ceremony.seats) == (3, 4)
    assert case.world.faults(ceremony) == {case.liar.name: pb.FAULT_SILENT_DEAL}
    assert case.world.opens(case.authority, case.liar, *case.honest[:2])


def test_silent_in_dispute_it_costs_the_window_and_nothing_else(case: Case) -> None:
    consented(case).world.behave = only(case.liar, DueKind.DISPUTE_DEALINGS, lambda _: None)
    ceremony = case.run()
    case.check_key(ceremony, confirmed=4)
    assert case.world.faults(ceremony) == {}


def test_silent_in_confirm_the_key_is_active_without_a_margin_and_a_late_confirmation_counts(case: Case) -> None:
    consented(case).world.behave = only(case.liar, DueKind.CONFIRM_SHARE, lambda _: None)
    ceremony = case.run()
    case.check_key(ceremony, confirmed=3)
    case.world.behave = honest
    case.world.step()
    assert case.world.ceremony(ceremony.id).confirmed == 4
    assert case.world.jobs(case.liar) == []


def test_two_silent_dealers_of_four_fail_the_attempt_by_name_and_have_another_chance(case: Case) -> None:
    quiet = [case.liar, case.honest[2]]
    consented(case).world.behave = lambda actor, job, said: (
        None if actor in quiet and job.kind is DueKind.DEAL_SHARES else said
    )
    while not (failed := case.world.authority(case.authority).last_ceremony):
        case.world.step()
    first = case.world.ceremony(failed)
    assert (first.phase, first.failure) == (pb.CEREMONY_PHASE_FAILED, pb.FAILURE_TOO_FEW_DEALINGS)
    assert case.world.faults(first) == {one.name: pb.FAULT_SILENT_DEAL for one in quiet}
    case.world.behave = honest
    second = case.run()
    assert (second.id, second.attempt, second.threshold) == (first.next, 2, 3)
    case.check_key(second, confirmed=4)


def test_attempts_with_the_same_terms_are_bounded(case: Case) -> None:
    world = consented(case).world
    world.behave = lambda _actor, job, said: None if job.kind is DueKind.DEAL_SHARES else said
    last = world.run(case.authority, blocks=400)
    assert (last.attempt, last.with_terms, last.next) == (3, 3, b"")
    assert world.authority(case.authority).status == pb.AUTHORITY_STATUS_FAILED
    assert all(store.labels() == [] for store in world.keystores.values()), "keys of failed attempts are destroyed"


def test_attempts_are_bounded() -> None:
    world = consortium(4, max_ceremony_attempts=2)
    authority = world.create()
    world.consent(authority)
    world.behave = lambda _actor, job, said: None if job.kind is DueKind.DEAL_SHARES else said
    last = world.run(authority)
    assert (last.attempt, last.max_attempts, last.next) == (2, 2, b"")
    assert world.authority(authority).status == pb.AUTHORITY_STATUS_FAILED


# --- wrong shares -------------------------------------------------------------------------------------------------
def test_a_wrong_share_to_one_costs_the_dealer_its_dealing_and_its_seat(case: Case) -> None:
    consented(case).world.behave = only(case.liar, DueKind.DEAL_SHARES, case.dealing(wrong_share_to(0)))
    ceremony = case.run()
    case.check_key(ceremony, confirmed=3)
    assert case.world.faults(ceremony) == {case.liar.name: pb.FAULT_WRONG_SHARE}
    assert case.world.party(ceremony, case.liar).fault_other == sorted(a.identity for a in case.world.chain.founders)[0]


def test_a_wrong_share_to_all_costs_the_dealer_the_same(case: Case) -> None:
    consented(case).world.behave = only(case.liar, DueKind.DEAL_SHARES, case.dealing(wrong_share_to(0, 1, 2, 3)))
    ceremony = case.run()
    case.check_key(ceremony, confirmed=3)
    assert case.world.faults(ceremony) == {case.liar.name: pb.FAULT_WRONG_SHARE}


def test_an_unencrypted_share_is_a_wrong_one(case: Case) -> None:
    coefficients = [SecretScalar(1), SecretScalar(2), SecretScalar(3)]

    def bare(made: Dealing) -> Dealing:
        values = [1 + 2 * index + 3 * index * index for index in range(1, 5)]
        return replace(made, shares=tuple(value.to_bytes(32, "big") for value in values))

    consented(case).world.behave = only(
        case.liar, DueKind.DEAL_SHARES, case.dealing(bare, coefficients=coefficients)
    )
    ceremony = case.run()
    case.check_key(ceremony, confirmed=3)
    assert case.world.faults(ceremony) == {case.liar.name: pb.FAULT_WRONG_SHARE}


def test_two_liars_of_four_leave_no_key_and_are_both_named(case: Case) -> None:
    two = [case.liar, case.honest[2]]
    world = consented(case).world
    world.behave = lambda actor, job, said: (
        dealt(world, actor, said.ceremony, wrong_share_to(0, 1, 2, 3))
        if actor in two and isinstance(said, pb.DealShares)
        else said
    )
    ceremony = case.run()
    assert ceremony.failure == pb.FAILURE_TOO_FEW_DEALINGS
    assert world.faults(ceremony) == {one.name: pb.FAULT_WRONG_SHARE for one in two}
    assert world.authority(case.authority).status == pb.AUTHORITY_STATUS_FAILED


# --- malformed dealings are refused, and whoever sends nothing else is silent --------------------------------------
def _of_degree(count: int) -> Callable[[Case], Callable[[Message], Message]]:
    return lambda case: case.dealing(coefficients=[SecretScalar(7 + n) for n in range(count)])


def _commitment(point: bytes) -> Change:
    return lambda made: replace(made, commitments=(made.commitments[0], point, *made.commitments[2:]))


def _ephemeral(point: bytes) -> Change:
    return lambda made: replace(made, ephemeral=point)


def _wrong_g2(made: Dealing) -> Dealing:
    from abci_app.crypto.curve import G2

    return replace(made, constant_g2=(G2.generator() * 5).encode())


BAD_POINT = Because(Code.BAD_CURVE_POINT, "point")
MALFORMED: dict[str, tuple[Callable[[Case], Callable[[Message], Message]], Because]] = {
    "one commitment too many": (_of_degree(4), Because(Code.DEALING_MALFORMED, "form")),
    "one commitment too few": (_of_degree(2), Because(Code.DEALING_MALFORMED, "form")),
    "the identity as a commitment": (lambda case: case.dealing(_commitment(IDENTITY)), BAD_POINT),
    "a commitment off the curve": (lambda case: case.dealing(_commitment(OFF_CURVE)), BAD_POINT),
    "a commitment outside the subgroup": (lambda case: case.dealing(_commitment(ORDER_FOUR)), BAD_POINT),
    "a coordinate that is not reduced": (lambda case: case.dealing(_commitment(NOT_REDUCED)), BAD_POINT),
    "the identity as ephemeral": (lambda case: case.dealing(_ephemeral(IDENTITY)), BAD_POINT),
    "an ephemeral off the curve": (lambda case: case.dealing(_ephemeral(OFF_CURVE)), BAD_POINT),
    "an ephemeral outside the subgroup": (lambda case: case.dealing(_ephemeral(ORDER_FOUR)), BAD_POINT),
    "an ephemeral of another scalar": (
        lambda case: case.dealing(_ephemeral((G1.generator() * 99).encode())), Because(Code.DEALING_PROOF, "proof"),
    ),
    "a truncated share": (
        lambda case: case.dealing(lambda made: replace(made, shares=(made.shares[0][:31], *made.shares[1:]))),
        Because(Code.DEALING_MALFORMED, "shares"),
    ),
    "a share too few": (
        lambda case: case.dealing(lambda made: replace(made, shares=made.shares[:-1])),
        Because(Code.DEALING_MALFORMED, "form"),
    ),
    "no constant in G2": (
        lambda case: case.dealing(lambda made: replace(made, constant_g2=b"")), Because(Code.DEALING_MALFORMED, "form"),
    ),
    "another constant in G2": (lambda case: case.dealing(_wrong_g2), Because(Code.DEALING_CONSTANT, "constant_g2")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_dealing_is_refused_and_its_dealer_counts_as_silent(case: Case, name: str) -> None:
    make, code = MALFORMED[name]
    consented(case).world.behave = only(case.liar, DueKind.DEAL_SHARES, make(case))
    ceremony = case.run()
    answered = [
        because(result)
        for actor, said, result in case.world.results
        if actor is case.liar and isinstance(said, pb.DealShares)
    ]
    assert answered
    assert all(one == code for one in answered)
    case.check_key(ceremony, confirmed=4)
    assert case.world.faults(ceremony) == {case.liar.name: pb.FAULT_SILENT_DEAL}


@pytest.mark.parametrize("point", [IDENTITY, OFF_CURVE, ORDER_FOUR], ids=["identity", "off-curve", "wrong-subgroup"])
def test_a_receive_key_that_is_no_point_is_refused(case: Case, point: bytes) -> None:
    def bad(said: Message) -> Message:
        changed = pb.AcceptCeremony.FromString(said.SerializeToString())
        changed.receive_key = point
        return changed

    consented(case).world.behave = only(case.liar, DueKind.ACCEPT_CEREMONY, bad)
    while not (failed := case.world.authority(case.authority).last_ceremony):
        case.world.step()
    assert Because(Code.BAD_CURVE_POINT, "receive_key") in case.world.answers(pb.AcceptCeremony)
    assert case.world.faults(case.world.ceremony(failed)) == {case.liar.name: pb.FAULT_SILENT_ACCEPT}
    case.world.behave = honest
    case.check_key(case.run(), confirmed=4)


# --- accusations --------------------------------------------------------------------------------------------------
def _accuses(case: Case, accused: Actor, change: Callable[[pb.Accusation], None] = lambda _: None) -> None:
    def lie(said: Message) -> Message:
        made = accusation(case.world, case.liar, accused, said.ceremony)  # type: ignore[attr-defined]
        change(made)
        return pb.DisputeDealings(ceremony=said.ceremony, accusations=[made])  # type: ignore[attr-defined]

    consented(case).world.behave = only(case.liar, DueKind.DISPUTE_DEALINGS, lie)


def test_a_false_accusation_costs_the_accuser_its_dealing_and_its_seat(case: Case) -> None:
    _accuses(case, case.honest[0])
    ceremony = case.run()
    case.check_key(ceremony, confirmed=3)
    assert case.world.faults(ceremony) == {case.liar.name: pb.FAULT_FALSE_ACCUSATION}


@pytest.mark.parametrize("what", ["proof", "opened"])
def test_an_accusation_with_a_bad_proof_is_refused_without_effect(case: Case, what: str) -> None:
    def spoil(made: pb.Accusation) -> None:
        if what == "proof":
            made.proof = bytes([made.proof[0] ^ 1]) + made.proof[1:]
        else:
            made.opened = (G1.generator() * 77).encode()

    _accuses(case, case.honest[0], spoil)
    ceremony = case.run()
    answers = case.world.answers(pb.DisputeDealings)
    assert Because(Code.ACCUSATION_PROOF) in answers
    case.check_key(ceremony, confirmed=4)
    assert case.world.faults(ceremony) == {}
    assert not case.world.party(ceremony, case.liar).disputed_height


# --- twice, late, without ------------------------------------------------------------------------------------------
def test_dealing_twice_is_refused_the_second_time(case: Case) -> None:
    world = consented(case).world
    world.step()
    (job,) = world.jobs(case.liar)
    ceremony = job.subject
    txs = [
        world.chain.tx(case.liar, dealt(world, case.liar, ceremony), key=case.liar.node_key),
        world.chain.tx(
            case.liar, dealt(world, case.liar, ceremony, coefficients=[SecretScalar(n + 5) for n in range(3)]),
            key=case.liar.node_key,
        ),
    ]  # fmt: skip
    assert [because(result) for result in world.chain.block(*txs).tx_results] == [
        TAKEN, Because(Code.ALREADY_DONE, "dealt"),
    ]
    case.check_key(case.run(), confirmed=4)


def test_a_late_dealing_is_refused(case: Case) -> None:
    kept: list[Message] = []
    consented(case).world.behave = only(case.liar, DueKind.DEAL_SHARES, lambda said: kept.append(said))
    ceremony = case.run()
    result = case.world.chain.result(case.liar, kept[-1])
    refused(result, Code.WRONG_PHASE, "phase")
    case.check_key(ceremony, confirmed=4)


def test_confirming_without_the_share_is_refused(case: Case) -> None:
    from abci_app.authority import checks
    from dta.crypto import dealing as provers

    def pretend(said: Message) -> Message:
        party = case.world.party(case.world.ceremony(said.ceremony), case.liar)  # type: ignore[attr-defined]
        record = case.world.ceremony(said.ceremony).record_digest  # type: ignore[attr-defined]
        proof = provers.confirm(record, checks.member(party), SecretScalar(42))
        return pb.ConfirmShare(ceremony=said.ceremony, proof=proof)  # type: ignore[attr-defined]

    consented(case).world.behave = only(case.liar, DueKind.CONFIRM_SHARE, pretend)
    ceremony = case.run()
    assert Because(Code.CONFIRM_PROOF) in case.world.answers(pb.ConfirmShare)
    case.check_key(ceremony, confirmed=3)


def test_a_confirmation_of_another_is_no_proof_of_ones_own(case: Case) -> None:
    proofs: dict[bytes, bytes] = {}

    def copy(actor: Actor, job: object, said: Message) -> Message:
        if isinstance(said, pb.ConfirmShare):
            proofs[actor.identity] = said.proof
            if actor is case.liar:
                other = proofs[case.honest[0].identity]
                return pb.ConfirmShare(ceremony=said.ceremony, proof=other)
        return said

    consented(case).world.behave = copy
    ceremony = case.run()
    assert Because(Code.CONFIRM_PROOF) in case.world.answers(pb.ConfirmShare)
    case.check_key(ceremony, confirmed=3)
