"""What a realm's key issues: it opens to the right points, logs people in, and gives nobody more than that."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from google.protobuf.message import Message

from abci_app.authority import proofs
from abci_app.codes import Code
from abci_app.crypto.curve import G1, G2, BadPoint, pairing_check
from abci_app.mfa import points
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2, tx_pb2
from abci_app.state.records import EXTRACTIONS
from dta.base.errors import NotVerified
from dta.base.secret import SecretBytes
from dta.client.mfa.issued import Issued, open_client
from dta.crypto import extraction
from dta.crypto import proofs as provers
from dta.crypto.extraction import TooFewPartials
from dta.crypto.scalar import SecretScalar
from dta.mpin.pin import Pin, secret_of, token_of
from dta.mpin.protocol import ClientLogin, accepts, check_server_secret, fresh_y
from dta.mpin.secret_point import SecretPoint
from tests.support import authority
from tests.support.realms import (
    AMCL,
    RFC9380,
    World,
    client,
    client_key,
    client_secret,
    fresh_world,
    issued_of,
    parties,
    permit,
    server_secret,
    transport,
)  # fmt: skip
from tests.support.refusals import refused

ALICE, BOB = client("alice"), client("bob")
SUITES = [RFC9380, AMCL]


def pin(digits: int) -> Pin:
    return Pin(SecretBytes(b"%04d" % digits))


@cache
def _issued_world(suite: mfa_pb2.MfaSuite) -> World:
    """Alice and Bob enrolled, today's permits issued."""
    world = fresh_world(suite)
    world.enrol(ALICE, BOB)
    assert all(result.code == Code.OK for result in world.answer(world.do(world.server, permits_today(world))))
    return world


def permits_today(world: World) -> mfa_pb2.IssuePermits:
    return world.permits_message(world.today)


def issued_world(suite: mfa_pb2.MfaSuite = RFC9380) -> World:
    return copy.deepcopy(_issued_world(suite))


def logs_in(world: World, secret: SecretPoint[G2], token: SecretPoint[G1], used: Pin, day: int | None) -> bool:
    """Whether Alice's login with this token and PIN is accepted."""
    login_parties = parties(world, ALICE, day)
    rebuilt = secret_of(token, login_parties.a, used)
    login = ClientLogin(login_parties, rebuilt, None if day is None else permit(world, ALICE, day))
    y = fresh_y()
    return accepts(login_parties.base, login_parties.q, secret.reveal(), login.u, y, login.answer(y))


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_issued_is_the_keys_multiple_of_each_point(suite: mfa_pb2.MfaSuite) -> None:
    world = issued_world(suite)
    s, of_alice = world.dealt.secret, parties(world, ALICE)
    assert client_secret(world, ALICE).reveal() == of_alice.a * s
    assert client_secret(world, BOB).reveal() == parties(world, BOB).a * s
    assert permit(world, ALICE, world.today) == of_alice.permit_point(world.today) * s
    secret = server_secret(world)
    assert secret.reveal() == of_alice.q * s
    check_server_secret(G1.generator() * s, of_alice.q, secret)


@pytest.mark.parametrize("suite", SUITES)
def test_the_right_pin_logs_in_and_twenty_wrong_ones_do_not(suite: mfa_pb2.MfaSuite) -> None:
    world = issued_world(suite)
    secret, right = server_secret(world), pin(1234)
    token = token_of(client_secret(world, ALICE), parties(world, ALICE).a, right)
    assert logs_in(world, secret, token, right, world.today)
    wrong = [number for number in range(1225, 1246) if number != 1234]
    assert len(wrong) == 20
    assert not any(logs_in(world, secret, token, pin(number), world.today) for number in wrong)


def test_no_permit_of_another_day_and_none_at_all_does_instead() -> None:
    world = issued_world()
    secret, right = server_secret(world), pin(1234)
    token = token_of(client_secret(world, ALICE), parties(world, ALICE).a, right)
    today, tomorrow = parties(world, ALICE, world.today), parties(world, ALICE, world.today + 1)
    login = ClientLogin(tomorrow, secret_of(token, today.a, right), permit(world, ALICE, world.today))
    y = fresh_y()
    v = login.answer(y)
    for base in (tomorrow.base, today.base, today.a):
        assert not accepts(base, today.q, secret.reveal(), login.u, y, v)


def test_after_a_revocation_the_next_days_permit_never_comes_to_be() -> None:
    world = issued_world()
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    tomorrow = world.today + 1
    world.chain.block(seconds=points.SECONDS_PER_DAY)
    request = world.do(world.server, permits_today(world))
    assert world.today == tomorrow
    assert [
        world.item(request, number).subject for number in range(EXTRACTIONS.get(world.chain.view, request).items)
    ] == [BOB]
    assert world.permit_record(tomorrow, ALICE) is None
    refused(world.chain.run(world.registrar, permits_today(world)), Code.ALREADY_DONE, "no-client-left")


def test_too_few_partials_open_to_something_else() -> None:
    world = fresh_world()
    request = world.do(world.registrar, world.enrol_message(ALICE))
    world.answer(request, 2)
    answer, a = issued_of(world, request, 0), parties(world, ALICE).a
    with pytest.raises(TooFewPartials):
        open_client(world.chain.gid, answer, a, client_key(ALICE))
    lowered = extraction_pb2.ExtractionRecord()
    lowered.CopyFrom(answer.record)
    lowered.threshold = 2
    wrong = open_client(world.chain.gid, Issued(lowered, 0, answer.item, answer.answers, 0), a, client_key(ALICE))
    assert wrong.reveal() != a * world.dealt.secret


def test_only_who_has_the_transport_key_opens_and_only_what_was_asked() -> None:
    world = issued_world()
    record = world.client_record(ALICE)
    answer = issued_of(world, record.request, record.item)
    a = parties(world, ALICE).a
    with pytest.raises(NotVerified):
        open_client(world.chain.gid, answer, a, client_key(BOB))
    with pytest.raises(NotVerified):
        open_client(world.chain.gid, answer, parties(world, BOB).a, client_key(ALICE))


def test_a_partial_that_was_changed_is_found_by_who_opens_it() -> None:
    world = issued_world()
    record = world.client_record(ALICE)
    answer = issued_of(world, record.request, record.item)
    spoilt = answer.answers[0].partial
    spoilt.c3 = (G1.decode(spoilt.c3) + G1.generator()).encode()
    with pytest.raises(TooFewPartials) as caught:
        open_client(world.chain.gid, answer, parties(world, ALICE).a, client_key(ALICE))
    assert caught.value.bad == (answer.answers[0].member.index,)


# --- attacks
def pin_found(token: SecretPoint[G1], a: G1, q: G2, secret: G2) -> int | None:
    """The offline attack: with a server secret of the token's key, a pairing tells the PIN."""
    for digits in range(1000, 1300):
        rebuilt = secret_of(token, a, pin(digits)).reveal()
        if pairing_check([(rebuilt, q), (-a, secret)]):
            return digits
    return None


@pytest.mark.parametrize("suite", SUITES)
def test_a_realms_server_secret_tells_nothing_of_another_realms_tokens(suite: mfa_pb2.MfaSuite) -> None:
    """Attack: one server secret of a key tests PINs of every token under that key. Two realms have two keys."""
    world = issued_world(suite)
    a = parties(world, ALICE).a
    token = token_of(client_secret(world, ALICE), a, pin(1234))
    other = world.open_realm("other", suite)
    other.do(other.registrar, mfa_pb2.RegisterServer(realm=other.realm, server=other.server.identity))
    stolen = server_secret(other)
    q = parties(other, ALICE).q
    assert pin_found(token, a, q, stolen.reveal()) is None
    own = server_secret(world, tag=1)
    assert pin_found(token, a, parties(world, ALICE).q, own.reveal()) == 1234, "which is why a server must be trusted"


def test_a_server_can_not_pose_as_another_of_its_realm() -> None:
    world = issued_world()
    world.do(world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=world.stranger.identity))
    secret, right = server_secret(world), pin(1234)
    token = token_of(client_secret(world, ALICE), parties(world, ALICE).a, right)
    other_q = points.server_point(
        RFC9380, world.chain.gid, world.dealt.id, world.realm, world.stranger.identity
    )  # fmt: skip
    own = parties(world, ALICE)
    login = ClientLogin(own, secret_of(token, own.a, right))
    y = fresh_y()
    v = login.answer(y)
    assert accepts(own.a, own.q, secret.reveal(), login.u, y, v)
    assert not accepts(own.a, other_q, secret.reveal(), login.u, y, v)


def test_every_item_is_blinded_by_a_scalar_of_its_own() -> None:
    """Attack: one r for two items hands who holds one secret the difference, and so the other."""
    world = issued_world()
    record = world.client_record(ALICE)
    seen = [
        answer.partial.c1
        for number in (0, 1)
        for answer in issued_of(world, record.request, number).answers
    ]  # fmt: skip
    assert len(seen) == 6
    assert len(set(seen)) == 6
    # What would happen: the same r for both, and Bob, who opens his own, has s_i * (A_alice - A_bob) to add.
    share, r = 77, 99
    a, b = parties(world, ALICE).a, parties(world, BOB).a
    t_alice, t_bob = (G1.generator() * transport(one).reveal() for one in (ALICE, BOB))
    of_alice, of_bob = a * share + t_alice * r, b * share + t_bob * r
    c1 = G1.generator() * r
    with_bobs_key = of_bob - c1 * transport(BOB).reveal()
    assert with_bobs_key == b * share
    assert of_alice - of_bob == (a - b) * share + (t_alice - t_bob) * r


def test_a_batch_in_which_a_member_reuses_its_answer_is_refused() -> None:
    world = fresh_world()
    request = world.do(world.registrar, world.enrol_message(ALICE, BOB))
    founder = world.chain.founders[0]
    message = authority.message_of(world.chain.view, world.chain.gid, world.dealt, founder, request)
    message.partials[1].CopyFrom(message.partials[0])
    refused(world.chain.result(founder, message), Code.BAD_PARTIAL, "proof")


@pytest.mark.parametrize("other", ["realm", "suite"])
def test_partials_of_another_realm_or_suite_do_not_count(other: str) -> None:
    world = fresh_world()
    second = world.open_realm("second", AMCL if other == "suite" else RFC9380)
    first_request = world.do(world.registrar, world.enrol_message(ALICE))
    second_request = second.do(second.registrar, second.enrol_message(ALICE, tag=1))
    founder = world.chain.founders[0]
    message = authority.message_of(world.chain.view, world.chain.gid, second.dealt, founder, second_request)
    message.request = first_request
    refused(world.chain.result(founder, message), Code.BAD_PARTIAL, "proof")


# --- all points ever written
def byte_fields(message: Message) -> Iterator[bytes]:
    for descriptor, value in message.ListFields():
        values = value if descriptor.is_repeated else [value]
        for one in values:
            if isinstance(one, Message):
                yield from byte_fields(one)
            elif isinstance(one, bytes):
                yield one


def written(world: World) -> Iterator[bytes]:
    """Every field of bytes of every transaction, and every leaf."""
    for block in world.chain.blocks:
        for tx in block.txs:
            yield from byte_fields(tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body))
    yield from world.chain.view.leaves.values()


def points_in(world: World, group: type[G1] | type[G2]) -> list[bytes]:
    """Every encoding of a point at any offset of anything written."""
    found: dict[bytes, None] = {}
    seen: dict[bytes, None] = {}
    for value in written(world):
        if value in seen:
            continue
        seen[value] = None
        for at in range(len(value) - group.BYTES + 1):
            if not value[at] & 0x80 or value[at] & 0x40:
                continue
            window = value[at : at + group.BYTES]
            if window not in found:
                try:
                    group.decode(window)
                except BadPoint:
                    continue
                found[window] = None
    return list(found)


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_on_the_ledger_multiplies_in_g2_what_must_stay_in_g1(
    suite: mfa_pb2.MfaSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack: s*g2, x*g2 or r*g2 lets a stolen token's PIN be found by a pairing. So none is ever written."""
    made: list[tuple[bytes, int]] = []
    honest = extraction.hedged

    def watched(
        tag: str, bound: Sequence[bytes], held: Sequence[SecretScalar], number: int, fresh: bytes
    ) -> SecretScalar:
        scalar = honest(tag, bound, held, number, fresh)
        if tag == "DTA-v1-blinding":
            use = bound[3]
        else:
            use = bound[2] if bound[0] == b"DTA-v1-proof-transport" else bound[4]
        made.append((use, scalar.reveal()))  # a blinding or a nonce, and for what use
        return scalar

    monkeypatch.setattr(extraction, "hedged", watched)
    monkeypatch.setattr(provers, "hedged", watched)
    world = fresh_world(suite)
    start = len(world.chain.blocks)
    world.enrol(ALICE, BOB)
    assert all(result.code == Code.OK for result in world.answer(world.do(world.server, permits_today(world))))
    server_secret(world)
    del world.chain.blocks[:start]
    server_use = extraction_pb2.USE_SERVER.to_bytes(4, "big")
    key = {"s": world.dealt.secret, **{f"s_{index}": share for index, share in world.dealt.shares.values()}}
    of_g1 = {"x alice": transport(ALICE).reveal(), "x bob": transport(BOB).reveal()}
    of_g1 |= {f"fresh {n}": scalar for n, (use, scalar) in enumerate(made) if use != server_use}
    of_g2 = {"x server": transport(world.server.identity).reveal()}
    of_g2 |= {f"blinding {n}": scalar for n, (use, scalar) in enumerate(made) if use == server_use}
    assert len(of_g1) > 20
    assert len(of_g2) > 6
    in_g2 = [G2.decode(point) for point in points_in(world, G2)]
    assert len(in_g2) >= 10, "the server's request and its answers are there"
    q = parties(world, ALICE).q
    bases = {"g2": G2.generator(), "Q": q}
    forbidden: dict[bytes, str] = {}
    for name, scalar in {**key, **of_g1}.items():
        for base_name, base in bases.items():
            multiple = base * scalar
            forbidden[multiple.encode()] = f"{name} * {base_name}"
            forbidden[(-multiple).encode()] = f"-{name} * {base_name}"
    for left in in_g2:
        assert left.encode() not in forbidden, forbidden[left.encode()]
        for right in in_g2:  # nor follows from two of them
            for follows in (left + right, left - right):
                assert follows.encode() not in forbidden, forbidden[follows.encode()]
    leaked = (G2.generator() * world.dealt.secret).encode()
    world.chain.view.leaves[b"a place where it would be found"] = b"\x12" + leaked + b"\x34"
    assert leaked in points_in(world, G2), "the search sees points wherever they stand"
    in_g1 = points_in(world, G1)
    for name, scalar in of_g2.items():
        if name == "x server":
            assert (G1.generator() * scalar).encode() not in in_g1, name
    blindings = [scalar for use, scalar in made if use == server_use]
    shares_nonces = {(G1.generator() * scalar).encode() for scalar in blindings}
    # Of a server's answer only the nonce of the share is seen in G1, one a member; never its blinding.
    assert len(shares_nonces.intersection(in_g1)) == world.dealt.threshold
    assert proofs.group_of(extraction_pb2.USE_SERVER) is G2
