"""Realms on the ledger: every code of every message, and what it leaves in state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.crypto.curve import G1, G2
from abci_app.limits import MAX_EXTRACTION_ITEMS
from abci_app.mfa import issuing
from abci_app.mfa.points import SECONDS_PER_DAY
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, mfa_pb2, tx_pb2
from abci_app.state.records import AUTHORITIES, REALM_CLIENT_NUMBERS
from dta.crypto.extraction import make_transport
from dta.crypto.scalar import SecretScalar
from tests.support.actors import Actor, seeded
from tests.support.realms import AMCL, RFC9380, World, client, enrolment, fresh_world, transport
from tests.support.refusals import Because, refused
from tests.support.world import only_consumed, set_params

Make = Callable[[World], tuple[Actor, Message]]
CASES: dict[str, tuple[Because, Make]] = {}

ALICE, BOB, CAROL = client("alice"), client("bob"), client("carol")


def case(code: Code, reason: str = "") -> Callable[[Make], Make]:
    """The ledger answers ``code``, for ``reason``, to what the function makes, and does nothing else."""

    def register(make: Make) -> Make:
        assert make.__name__ not in CASES
        CASES[make.__name__] = (Because(code, reason), make)
        return make

    return register


# --- servers
@case(Code.FIELD_INVALID, "server")
def a_server_with_a_short_id(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=b"short")


@case(Code.UNKNOWN_REALM)
def a_server_of_no_realm(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.RegisterServer(realm=bytes(32), server=world.stranger.identity)


@case(Code.NOT_REGISTRAR, "realm")
def a_server_that_registers_itself(world: World) -> tuple[Actor, Message]:
    return world.stranger, mfa_pb2.RegisterServer(realm=world.realm, server=world.stranger.identity)


@case(Code.UNKNOWN_SERVER, "identity")
def a_server_that_is_no_identity(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=seeded("nobody"))


@case(Code.UNKNOWN_SERVER, "identity")
def a_server_whose_identity_is_suspended(world: World) -> tuple[Actor, Message]:
    world.do(world.stranger, tx_pb2.SuspendIdentity())
    return world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=world.stranger.identity)


@case(Code.ALREADY_DONE, "server")
def a_server_twice(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=world.server.identity)


@case(Code.TOO_MANY, "servers")
def a_server_too_many(world: World) -> tuple[Actor, Message]:
    set_params(world.chain, max_realm_servers=1)
    return world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=world.stranger.identity)


@case(Code.UNKNOWN_SERVER, "removed")
def removing_a_server_that_is_none(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.RemoveServer(realm=world.realm, server=world.stranger.identity)


@case(Code.NOT_REGISTRAR, "realm")
def a_server_that_removes_itself(world: World) -> tuple[Actor, Message]:
    return world.server, mfa_pb2.RemoveServer(realm=world.realm, server=world.server.identity)


# --- server secrets
@case(Code.UNKNOWN_SERVER, "signer")
def a_server_that_is_not_registered(world: World) -> tuple[Actor, Message]:
    return world.stranger, world.server_message(server=world.stranger)


@case(Code.UNKNOWN_SERVER, "signer")
def a_server_that_was_removed(world: World) -> tuple[Actor, Message]:
    world.do(world.registrar, mfa_pb2.RemoveServer(realm=world.realm, server=world.server.identity))
    return world.server, world.server_message()


@case(Code.TOO_MANY, "server-secret")
def a_second_request_while_the_first_is_pending(world: World) -> tuple[Actor, Message]:
    world.do(world.server, world.server_message())
    return world.server, world.server_message(tag=1)


@case(Code.DUPLICATE, "server-secret")
def a_server_request_with_a_nonce_used_before(world: World) -> tuple[Actor, Message]:
    world.answer(world.do(world.server, world.server_message()))
    return world.server, world.server_message()


@case(Code.BAD_POSSESSION, "proof")
def a_server_key_whose_possession_another_proved(world: World) -> tuple[Actor, Message]:
    message = world.server_message(server=world.stranger)
    return world.server, message


@case(Code.BAD_TRANSPORT_KEY, "length")
def a_server_key_in_g1(world: World) -> tuple[Actor, Message]:
    message = world.server_message()
    message.transport_key = (G1.generator() * 5).encode()
    return world.server, message


@case(Code.BAD_TRANSPORT_KEY, "point")
def a_server_key_that_is_the_identity(world: World) -> tuple[Actor, Message]:
    message = world.server_message()
    message.transport_key = G2.identity().encode()
    return world.server, message


@case(Code.POINT_USED, "point")
def a_server_key_seen_before(world: World) -> tuple[Actor, Message]:
    world.answer(world.do(world.server, world.server_message()))
    second = world.server_message(tag=1)
    request = issuing.server_request(world.chain.gid, world.realm, world.server.identity, second.nonce)
    used = make_transport(
        G2, world.chain.gid, extraction_pb2.USE_SERVER, request, world.realm, world.server.identity,
        transport(world.server.identity),
    )  # fmt: skip
    second.transport_key, second.proof = used.point, used.proof
    return world.server, second


@case(Code.AUTHORITY_NOT_ACTIVE, "asked")
def a_server_secret_of_a_realm_without_a_key(world: World) -> tuple[Actor, Message]:
    without_key(world)
    return world.server, world.server_message()


def without_key(world: World) -> None:
    """The realm's ceremony has not been done."""
    record = authority_pb2.AuthorityRecord(
        id=world.dealt.id, purpose=authority_pb2.PURPOSE_MFA, status=authority_pb2.AUTHORITY_STATUS_PENDING,
        realm=world.realm,
    )  # fmt: skip
    leaf = (AUTHORITIES.key(world.dealt.id), record.SerializeToString(deterministic=True))
    world.chain.view.apply(Changes(leaves=(leaf,)))


# --- enrolment
@case(Code.FIELD_INVALID, "clients")
def an_empty_batch(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.EnrolClients(realm=world.realm, suite=world.suite)


@case(Code.FIELD_INVALID, "client-twice")
def a_batch_with_a_client_twice(world: World) -> tuple[Actor, Message]:
    message = world.enrol_message(ALICE, BOB)
    message.clients.append(enrolment(world.chain.gid, world.realm, ALICE, tag="again"))
    return world.registrar, message


@case(Code.FIELD_INVALID, "client")
def a_client_hash_of_the_wrong_length(world: World) -> tuple[Actor, Message]:
    message = world.enrol_message(ALICE)
    message.clients[0].client = ALICE + b"x"
    return world.registrar, message


@case(Code.FIELD_INVALID, "client")
def a_permit_shaped_client_hash(world: World) -> tuple[Actor, Message]:
    """36 bytes, as a permit's input under AMCL has: no identity of that length is ever made."""
    message = world.enrol_message(ALICE)
    message.clients[0].client = (20_000).to_bytes(4, "big") + ALICE
    return world.registrar, message


@case(Code.BAD_ITEMS, "client-secrets")
def a_batch_over_the_parameter(world: World) -> tuple[Actor, Message]:
    set_params(world.chain, max_extraction_items=1)
    return world.registrar, world.enrol_message(ALICE, BOB)


@case(Code.FIELD_INVALID, "suite")
def a_batch_of_no_suite(world: World) -> tuple[Actor, Message]:
    """Which would cost nothing."""
    message = world.enrol_message(ALICE)
    message.ClearField("suite")
    return world.registrar, message


def _cheaper(world: World, message: Any) -> tuple[Actor, Message]:
    """As of a realm of the other suite, whose points are cheaper to come by."""
    message.suite = RFC9380 if world.suite == AMCL else AMCL
    return world.registrar, message


@case(Code.WRONG_SUITE)
def a_batch_that_says_another_suite(world: World) -> tuple[Actor, Message]:
    return _cheaper(world, world.enrol_message(ALICE))


@case(Code.WRONG_SUITE)
def an_enrolment_again_that_says_another_suite(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return _cheaper(world, world.enrol_message(ALICE, tag="again", again=True))


@case(Code.WRONG_SUITE)
def permits_of_another_suite(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return _cheaper(world, world.permits_message(world.today))


@case(Code.FIELD_INVALID, "suite")
def permits_of_no_suite(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    message = world.permits_message(world.today)
    message.ClearField("suite")
    return world.registrar, message


@case(Code.NOT_REGISTRAR, "realm")
def an_enrolment_by_somebody_else(world: World) -> tuple[Actor, Message]:
    return world.server, world.enrol_message(ALICE)


@case(Code.CLIENT_ENROLLED)
def a_client_enrolled_twice(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return world.registrar, world.enrol_message(BOB, ALICE, tag=1)


@case(Code.CLIENT_REVOKED, "enrol")
def a_revoked_client_enrolled(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    return world.registrar, world.enrol_message(ALICE, tag=1)


@case(Code.CLIENT_REVOKED, "reenrol")
def a_revoked_client_enrolled_again(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    return world.registrar, world.enrol_message(ALICE, tag=1, again=True)


@case(Code.UNKNOWN_CLIENT, "reenrol")
def an_enrolment_again_of_a_client_that_never_was(world: World) -> tuple[Actor, Message]:
    return world.registrar, world.enrol_message(ALICE, again=True)


@case(Code.BAD_TRANSPORT_KEY, "point")
def a_client_key_that_is_the_identity(world: World) -> tuple[Actor, Message]:
    message = world.enrol_message(ALICE)
    message.clients[0].transport_key = G1.identity().encode()
    return world.registrar, message


@case(Code.BAD_TRANSPORT_KEY, "length")
def a_client_key_in_g2(world: World) -> tuple[Actor, Message]:
    message = world.enrol_message(ALICE)
    message.clients[0].transport_key = (G2.generator() * 5).encode()
    return world.registrar, message


@case(Code.BAD_POSSESSION, "proof")
def a_registrars_own_key_under_a_clients_proof(world: World) -> tuple[Actor, Message]:
    """Attack: the registrar puts a key of its own in place of the client's, to open what is the client's."""
    message = world.enrol_message(ALICE)
    message.clients[0].transport_key = (G1.generator() * 5).encode()
    return world.registrar, message


@case(Code.BAD_POSSESSION, "proof")
def a_ticket_under_another_clients_hash(world: World) -> tuple[Actor, Message]:
    message = world.enrol_message(ALICE)
    message.clients[0].client = BOB
    return world.registrar, message


@case(Code.BAD_POSSESSION, "proof")
def a_ticket_of_another_realm(world: World) -> tuple[Actor, Message]:
    other = world.open_realm("other")
    clients = other.enrol_message(ALICE).clients
    return world.registrar, mfa_pb2.EnrolClients(realm=world.realm, clients=clients, suite=world.suite)


@case(Code.POINT_USED, "point")
def a_client_key_seen_before(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    used = enrolment(world.chain.gid, world.realm, BOB, x=transport(ALICE))
    return world.registrar, mfa_pb2.EnrolClients(realm=world.realm, clients=[used], suite=world.suite)


@case(Code.POINT_USED, "point")
def one_client_key_for_two_clients(world: World) -> tuple[Actor, Message]:
    """Attack: one key, and what two clients are given can be compared."""
    both = [enrolment(world.chain.gid, world.realm, one, x=transport(ALICE)) for one in (ALICE, BOB)]
    return world.registrar, mfa_pb2.EnrolClients(realm=world.realm, clients=both, suite=world.suite)


@case(Code.POINT_USED, "key")
def a_client_key_that_is_an_identitys_bls_key(world: World) -> tuple[Actor, Message]:
    x = SecretScalar(world.stranger.bls_key._scalar)
    used = enrolment(world.chain.gid, world.realm, ALICE, x=x)
    assert used.transport_key == world.stranger.bls_key.public_key
    return world.registrar, mfa_pb2.EnrolClients(realm=world.realm, clients=[used], suite=world.suite)


@case(Code.AUTHORITY_NOT_ACTIVE, "asked")
def an_enrolment_in_a_realm_without_a_key(world: World) -> tuple[Actor, Message]:
    without_key(world)
    return world.registrar, world.enrol_message(ALICE)


@case(Code.AUTHORITY_BUSY)
def an_enrolment_beyond_what_may_be_open(world: World) -> tuple[Actor, Message]:
    set_params(world.chain, max_open_extractions=1)
    world.do(world.registrar, world.enrol_message(ALICE))
    return world.registrar, world.enrol_message(BOB)


# --- permits
@case(Code.FIELD_INVALID, "count")
def permits_for_no_client(world: World) -> tuple[Actor, Message]:
    return world.registrar, world.permits_message(world.today, count=0)


@case(Code.FIELD_INVALID, "count")
def permits_for_too_many_clients(world: World) -> tuple[Actor, Message]:
    return world.registrar, world.permits_message(world.today, count=MAX_EXTRACTION_ITEMS + 1)


@case(Code.BAD_ITEMS, "permits")
def permits_over_the_parameter(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE, BOB)
    set_params(world.chain, max_extraction_items=1)
    return world.registrar, world.permits_message(world.today, count=2)


@case(Code.NOT_REGISTRAR, "permits")
def permits_asked_by_a_stranger(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return world.stranger, world.permits_message(world.today)


@case(Code.NO_PERMITS)
def permits_in_a_realm_without(world: World) -> tuple[Actor, Message]:
    other = world.open_realm("without", permits_required=False)
    other.enrol(ALICE)
    return other.registrar, other.permits_message(other.today)


@case(Code.BAD_PERMIT_DAY, "over")
def a_permit_for_yesterday(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return world.registrar, world.permits_message(world.today - 1)


@case(Code.BAD_PERMIT_DAY, "early")
def a_permit_for_the_day_after_tomorrow(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return world.registrar, world.permits_message(world.today + 2)


@case(Code.ALREADY_DONE, "no-client-left")
def a_permit_asked_for_twice(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    world.do(world.server, world.permits_message(world.today))
    return world.registrar, world.permits_message(world.today)


@case(Code.ALREADY_DONE, "no-client-left")
def a_permit_for_a_revoked_client(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    return world.registrar, world.permits_message(world.today)


@case(Code.ALREADY_DONE, "no-client-left")
def permits_beyond_the_last_client(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return world.registrar, world.permits_message(world.today, first=2**32 - 1)


# --- revocation
@case(Code.NOT_REGISTRAR, "realm")
def a_revocation_by_a_server(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    return world.server, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE)


@case(Code.UNKNOWN_CLIENT, "revoke")
def a_revocation_of_nobody(world: World) -> tuple[Actor, Message]:
    return world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE)


@case(Code.ALREADY_DONE, "client-revoked")
def a_revocation_twice(world: World) -> tuple[Actor, Message]:
    world.enrol(ALICE)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    return world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE)


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_refused_with_its_code_and_changes_nothing(name: str) -> None:
    code, make = CASES[name]
    world = fresh_world()
    signer, message = make(world)
    tx = world.chain.tx(signer, message)
    result = world.chain.block(tx)
    refused(result.tx_results[0], *code)
    assert result.tx_results[0].events == ()
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    assert only_consumed(result.changes, body.expires_at_height)


# --- what succeeds
def test_a_batch_enrols_each_client_under_a_number_of_its_own() -> None:
    world = fresh_world()
    request = world.do(world.registrar, world.enrol_message(ALICE, BOB))
    world.do(world.registrar, world.enrol_message(CAROL))
    assert world.record.clients == 3
    for number, one in enumerate((ALICE, BOB, CAROL)):
        record = world.client_record(one)
        assert record.number == number
        named = world.chain.view.get(REALM_CLIENT_NUMBERS.key(world.realm, number))
        assert named == mfa_pb2.MfaClientNumber(client=one).SerializeToString()
    assert world.client_record(BOB).request == request
    assert world.client_record(BOB).item == 1
    assert world.item(request, 1).subject == BOB


def test_a_further_issue_is_counted_and_seen() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    result = world.chain.run(world.registrar, world.enrol_message(ALICE, tag=1, again=True))
    assert result.code == Code.OK
    assert world.client_record(ALICE).enrolments == 2
    assert world.client_record(ALICE).number == 0
    assert world.record.clients == 1
    assert "clients-reenrolled" in {dict(event.attributes)["action"] for event in result.events}


def test_a_server_that_is_removed_gets_no_answer_that_is_under_way() -> None:
    world = fresh_world()
    request = world.do(world.server, world.server_message())
    world.do(world.registrar, mfa_pb2.RemoveServer(realm=world.realm, server=world.server.identity))
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_CANCELLED
    world.do(world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=world.server.identity))
    world.do(world.server, world.server_message(tag=1))


def test_permits_are_asked_for_once_and_leave_out_who_is_revoked() -> None:
    world = fresh_world()
    world.enrol(ALICE, BOB, CAROL)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=BOB))
    request = world.do(world.server, world.permits_message(world.today))
    assert [world.item(request, number).subject for number in (0, 1)] == [ALICE, CAROL]
    assert world.permit_record(world.today, BOB) is None
    dave = client("dave")
    world.enrol(dave)
    later = world.do(world.registrar, world.permits_message(world.today))
    assert world.item(later, 0).subject == dave
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_PENDING


def test_permits_of_tomorrow_are_issued_only_shortly_before_it() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    set_params(world.chain, permit_ahead_s=3_600)
    midnight = (world.today + 1) * SECONDS_PER_DAY
    tomorrow = world.today + 1
    until = midnight - 3_601 - world.chain.time_s
    early = world.chain.run(world.registrar, world.permits_message(tomorrow), seconds=until)
    refused(early, Code.BAD_PERMIT_DAY, "early")
    assert world.chain.run(world.registrar, world.permits_message(tomorrow), seconds=1).code == Code.OK
    late = world.chain.run(world.registrar, world.permits_message(tomorrow - 1), seconds=3_599)
    assert late.code == Code.OK, "the last second of the day"
    over = world.chain.run(world.registrar, world.permits_message(tomorrow - 1), seconds=1)
    refused(over, Code.BAD_PERMIT_DAY, "over")


def test_a_request_that_nobody_answered_in_time_can_be_made_again() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    world.do(world.server, world.server_message())
    world.do(world.registrar, world.permits_message(world.today))
    ttl_s = 86_400
    world.chain.block(seconds=ttl_s)
    world.do(world.server, world.server_message(tag=1))
    world.do(world.registrar, world.permits_message(world.today))
