"""What finds a place by state: decisions of those whom it names, results of those who owe; what a proposal takes.

``NAMED`` has, for every message that may be a decision, one that is and one that is not: a new one has to be added.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import admission, transition
from abci_app.block import Changes, Time
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.mempool import MAX_TXS_BYTES, Lane, Mempool, Waiting
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, governance_pb2, identity_pb2, mfa_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.overlay import Overlay
from abci_app.state.records import AUTHORITIES, CEREMONIES, CEREMONY_PARTIES, FIDUCIARIES, REALM_CLIENTS, REALMS
from tests.support import governance
from tests.support.actors import Actor, body_bytes, seeded, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.custody import SEALED, Custody, k_of, make_custody
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import another_signature, nonce, set_params

CEREMONY, REALM, CLIENT = seeded("ceremony"), seeded("realm"), seeded("client")
AUTHORITY, FIRST, TERMS = seeded("authority"), seeded("first"), seeded("terms")


@dataclass
class World:
    """A custody world where something of every kind waits to be decided."""

    custody: Custody
    mallory: Actor
    pending: bytes
    granted: bytes
    open_order: bytes
    unused_vault: bytes
    closing_vault: bytes
    proposal: bytes
    proposal_digest: bytes

    @property
    def alice(self) -> Actor:
        return self.custody.principal

    @property
    def fiduciary(self) -> Actor:
        return self.custody.chain.founders[1]

    def digest(self, request: bytes) -> bytes:
        return self.custody.request_record(request).content_digest


def _make() -> World:
    custody = make_custody()
    chain, alice = custody.chain, custody.principal
    mallory = Actor("mallory")
    chain.register(mallory)
    watched = custody.place(nonce("watched"), policy=k_of(1, alice.identity, veto_window_s=60))
    pending, granted = custody.request(watched), custody.request(watched, nonce("granted"))
    approval = tx_pb2.ApproveRequest(request=granted, content_digest=custody.request_record(granted).content_digest)
    assert chain.run(alice, approval).code == 0
    vaults = []
    for tag in ("unused", "closing"):
        ids = [founder.identity for founder in chain.founders]
        message = tx_pb2.OpenVault(nonce=nonce(tag), custodian="hsm-realm", fiduciaries=ids)
        vaults.append(chain.run(alice, message).data)
    assert chain.run(alice, tx_pb2.CloseVault(vault=vaults[1])).code == 0
    action = governance.change_params(chain, max_open_proposals=9)
    proposal = chain.run(chain.founders[0], governance_pb2.Propose(nonce=nonce("p"), action=action)).data
    state = Overlay(chain.view)
    waiting = authority_pb2.CEREMONY_PHASE_CONSENT
    CEREMONIES.put(state, authority_pb2.CeremonyRecord(id=FIRST, authority=AUTHORITY), FIRST)
    CEREMONIES.put(
        state, authority_pb2.CeremonyRecord(id=CEREMONY, authority=AUTHORITY, phase=waiting, first=FIRST, terms=TERMS),
        CEREMONY,
    )  # fmt: skip
    AUTHORITIES.put(state, authority_pb2.AuthorityRecord(id=AUTHORITY, ceremony=CEREMONY), AUTHORITY)
    party = authority_pb2.CeremonyParty(fiduciary=chain.founders[1].identity, position=1, candidate=True)
    CEREMONY_PARTIES.put(state, party, CEREMONY, 1)
    terms = mfa_pb2.RealmTerms(name="web", registrar=alice.identity)
    REALMS.put(state, mfa_pb2.RealmRecord(id=REALM, terms=terms), REALM)
    client = mfa_pb2.MfaClientRecord(realm=REALM, client=CLIENT, status=mfa_pb2.MFA_CLIENT_STATUS_ENROLLED)
    REALM_CLIENTS.put(state, client, REALM, CLIENT)
    chain.view.apply(Changes(leaves=state.changes().leaves))
    digest = statements.action_digest(chain.gid, proposal, action)
    return World(custody, mallory, pending, granted, watched, vaults[0], vaults[1], proposal, digest)


_WORLD = _make()


@pytest.fixture
def world() -> World:
    """A copy: registrations are slow, copies are not. Every mempool is full of users and of a fiduciary's results."""
    made = copy.deepcopy(_WORLD)
    made.custody.chain.mempool = flooded()
    return made


def flooded() -> Mempool:
    """A mempool in which no user finds a place."""
    mempool = Mempool()
    for number in range(MAX_TXS_BYTES // 2 // 32_768):
        signer = bytes([number // 12]) * 32
        mempool.admit(nonce(("flood", number)), Waiting(Lane.USER, signer, 32_768), 0, is_recheck=False)
    return mempool


Make = Callable[[World], tuple[Actor, Message, SigningKey | None]]


def _rotation(world: World) -> tuple[Actor, Message, SigningKey]:
    alice = world.alice
    return alice, tx_pb2.RotateIdentity(envelope=alice.next_document(world.custody.chain.gid)), alice.key(1)


def _revocation(world: World) -> tuple[Actor, Message, SigningKey]:
    key = world.alice.key(1)
    return world.alice, tx_pb2.RevokeIdentity(next_key=bytes(key.verify_key)), key


def _validator_key(world: World, who: Actor) -> tuple[Actor, Message, None]:
    key = governance.validator_key("new")
    record = FIDUCIARIES.find(world.custody.chain.view, who.identity) or identity_pb2.FiduciaryRecord()
    public = bytes(key.verify_key)
    statement = statements.validator_key_statement(
        world.custody.chain.gid, who.identity, public, record.validator_key
    )
    return who, tx_pb2.RotateValidatorKey(key=public, proof=key.sign(statement).signature), None


def _vote(world: World, who: Actor) -> tuple[Actor, Message, None]:
    return who, governance_pb2.Vote(proposal=world.proposal, content_digest=world.proposal_digest), None


def _decision(kind: type[Message]) -> Callable[[World, Actor, bytes], tuple[Actor, Message, None]]:
    return lambda world, who, request: (who, kind(request=request, content_digest=world.digest(request)), None)


def _consent(first: bytes | None = None, terms: bytes | None = None) -> Message:
    return authority_pb2.ConsentCeremony(first=first or FIRST, terms=terms or TERMS)


_approve, _veto = _decision(tx_pb2.ApproveRequest), _decision(tx_pb2.VetoRequest)

NAMED: dict[str, list[Make]] = {
    "vote": [lambda w: _vote(w, w.fiduciary)],
    "consent_ceremony": [lambda w: (w.fiduciary, _consent(), None)],
    "approve_request": [lambda w: _approve(w, w.alice, w.pending)],
    "veto_request": [lambda w: _veto(w, w.alice, w.pending), lambda w: _veto(w, w.alice, w.granted)],
    "rotate_identity": [_rotation],
    "suspend_identity": [lambda w: (w.mallory, tx_pb2.SuspendIdentity(), None)],
    "revoke_identity": [_revocation],
    "rotate_validator_key": [lambda w: _validator_key(w, w.fiduciary)],
    "revoke_client": [lambda w: (w.alice, mfa_pb2.RevokeClient(realm=REALM, client=CLIENT), None)],
    "close_order": [lambda w: (w.alice, tx_pb2.CloseOrder(order=w.open_order), None)],
    "close_vault": [lambda w: (w.alice, tx_pb2.CloseVault(vault=w.unused_vault), None)],
    "cancel_close_vault": [lambda w: (w.alice, tx_pb2.CancelCloseVault(vault=w.closing_vault), None)],
}
NOT_NAMED: dict[str, list[Make]] = {
    "vote": [
        lambda w: _vote(w, w.alice), lambda w: _vote(w, w.custody.chain.founders[0]),
        lambda w: (w.fiduciary, governance_pb2.Vote(proposal=bytes(32), content_digest=bytes(32)), None),
    ],
    "consent_ceremony": [
        lambda w: (w.custody.chain.founders[2], _consent(), None),
        lambda w: (w.fiduciary, _consent(first=bytes(32)), None),
        lambda w: (w.fiduciary, _consent(first=CEREMONY), None),
        lambda w: (w.fiduciary, _consent(terms=bytes(32)), None),
    ],
    "approve_request": [lambda w: _approve(w, w.mallory, w.pending), lambda w: _approve(w, w.alice, w.granted)],
    "veto_request": [
        lambda w: _veto(w, w.mallory, w.pending),
        lambda w: (w.alice, tx_pb2.VetoRequest(request=bytes(32), content_digest=bytes(32)), None),
    ],
    "rotate_validator_key": [lambda w: _validator_key(w, w.alice)],
    "revoke_client": [
        lambda w: (w.mallory, mfa_pb2.RevokeClient(realm=REALM, client=CLIENT), None),
        lambda w: (w.alice, mfa_pb2.RevokeClient(realm=REALM, client=bytes(32)), None),
    ],
    "close_order": [lambda w: (w.mallory, tx_pb2.CloseOrder(order=w.open_order), None)],
    "close_vault": [
        lambda w: (w.mallory, tx_pb2.CloseVault(vault=w.unused_vault), None),
        lambda w: (w.alice, tx_pb2.CloseVault(vault=w.closing_vault), None),
    ],
    "cancel_close_vault": [
        lambda w: (w.mallory, tx_pb2.CancelCloseVault(vault=w.closing_vault), None),
        lambda w: (w.alice, tx_pb2.CancelCloseVault(vault=w.unused_vault), None),
    ],
}  # fmt: skip


def cases(table: dict[str, list[Make]]) -> list[object]:
    return [
        pytest.param(make, id=f"{name}-{number}") for name, makes in table.items() for number, make in enumerate(makes)
    ]


def tx_of(world: World, make: Make) -> bytes:
    who, message, key = make(world)
    return world.custody.chain.tx(who, message, key=key)


def test_the_table_has_every_message_that_may_be_a_decision() -> None:
    deciding = [name for name, spec in SPECS.items() if spec.decides is not None]
    assert sorted(NAMED) == sorted(deciding)
    # Everybody is named for their own identity.
    assert set(deciding) - set(NOT_NAMED) == {"rotate_identity", "suspend_identity", "revoke_identity"}


@pytest.mark.parametrize("make", cases(NAMED))
def test_who_is_named_decides_through_any_flood_and_comes_first_in_the_block(world: World, make: Make) -> None:
    chain = world.custody.chain
    flood = [chain.tx(world.mallory, tx_pb2.CloseVault(vault=os.urandom(32))) for _ in range(5)]
    assert [because(chain.check(tx)) for tx in flood] == [Because(Code.BUSY, "lane")] * 5
    tx = tx_of(world, make)
    assert chain.check(tx).code == Code.OK
    assert chain.check(tx).code == Code.OK, "CheckTx is idempotent"
    assert propose(world, [*flood, tx])[0] == tx


@pytest.mark.parametrize("make", cases(NOT_NAMED))
def test_who_is_not_named_waits_like_any_user(world: World, make: Make) -> None:
    chain = world.custody.chain
    flood = [chain.tx(world.mallory, tx_pb2.CloseVault(vault=os.urandom(32))) for _ in range(2)]
    tx = tx_of(world, make)
    refused(chain.check(tx), Code.BUSY, "lane")
    assert propose(world, [*flood, tx]) == [*flood, tx]


def test_a_stolen_key_keeps_no_rotation_out(world: World) -> None:
    """The thief holds every decision that the identity may have waiting, and its place among the users."""
    chain, alice = world.custody.chain, world.alice
    for number in range(8):
        waiting = Waiting(Lane.DECISION, alice.identity, 300, b"%d" % number)
        chain.mempool.admit(nonce(number), waiting, 0, is_recheck=False)
    refused(chain.check(tx_of(world, lambda w: _veto(w, w.alice, w.pending))), Code.BUSY, "lane")
    assert chain.check(tx_of(world, _rotation)).code == Code.OK
    assert chain.check(tx_of(world, _revocation)).code == Code.OK


# --- proposals --------------------------------------------------------------------------------------------------


def propose(world: World, txs: list[bytes], max_tx_bytes: int = 8 << 20) -> list[bytes]:
    chain = world.custody.chain
    return transition.prepare_proposal(
        chain.view, txs, max_tx_bytes=max_tx_bytes, height=chain.height + 1, time=Time(chain.time_s + 1)
    )


def test_a_proposal_has_decisions_first_then_results_then_users(world: World) -> None:
    chain = world.custody.chain
    order = world.custody.place(nonce("due"), fulfil=False)
    results = [
        chain.tx(founder, tx_pb2.FulfilOrder(order=order), key=founder.node_key) for founder in chain.founders
    ]
    users = [chain.tx(world.mallory, tx_pb2.CloseVault(vault=os.urandom(32))) for _ in range(3)]
    decisions = [tx_of(world, make) for make in (_rotation, lambda w: _veto(w, w.fiduciary, w.pending))]
    decisions[1] = tx_of(world, lambda w: _vote(w, w.fiduciary))
    mixed = [users[0], results[0], decisions[0], *results[1:3], users[1], decisions[1], results[3], users[2]]
    assert propose(world, mixed) == [*decisions, *results, *users]


def test_decisions_have_an_eighth_of_the_cost_and_of_the_bytes_before_all_else(world: World) -> None:
    chain, alice = world.custody.chain, world.alice
    users = [chain.tx(world.mallory, tx_pb2.CloseVault(vault=os.urandom(32))) for _ in range(2)]
    decisions = [tx_of(world, make) for makes in NAMED.values() for make in makes]
    assert propose(world, [*users, *decisions])[-2:] == users
    set_params(chain, max_block_cost=8 * 900)
    first = propose(world, [*users, *decisions])
    ahead = first[: first.index(users[0])]
    assert sum(SPECS[field_of(tx)].cost(message_of(tx)) for tx in ahead) <= 900
    assert len(ahead) > 1
    set_params(chain, max_block_cost=4_000_000)
    some_bytes = 8 * (len(decisions[0]) + 60)
    ahead = propose(world, [*decisions, *users], max_tx_bytes=some_bytes)[:1]
    assert ahead == decisions[:1]
    assert alice.identity in decisions[2]


def test_what_one_signer_has_too_many_of_does_not_count_before_its_decision(world: World) -> None:
    chain, alice = world.custody.chain, world.alice
    set_params(chain, max_txs_per_identity=2)
    junk = [chain.tx(alice, tx_pb2.CloseVault(vault=os.urandom(32))) for _ in range(4)]
    rotation = tx_of(world, _rotation)
    assert propose(world, [*junk, rotation]) == [rotation, junk[0]]


def field_of(tx: bytes) -> str:
    return str(tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body).WhichOneof("message"))


def message_of(tx: bytes) -> Message:
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    message: Message = getattr(body, field_of(tx))
    return message


def candidate(signer: bytes, lane: Lane, cost: int, number: int) -> admission.Candidate:
    return admission.Candidate(b"%s %s %d" % (signer, lane.name.encode(), number), cost, Waiting(lane, signer, 300))


def taken(candidates: list[admission.Candidate], max_cost: int = 4_000, max_of_one: int = 1_000) -> list[bytes]:
    return admission.choose(candidates, max_bytes=8 << 20, max_cost=max_cost, max_of_one=max_of_one)


def flood(lane: Lane, signer: bytes = b"mallory") -> list[admission.Candidate]:
    return [candidate(signer, lane, 300, number) for number in range(100)]


@pytest.mark.parametrize("lane", [Lane.RESULT, Lane.USER])
def test_one_signers_dear_transactions_take_no_others_place_in_a_block(lane: Lane) -> None:
    """A bundle is due while one thing in it is, however often that fails: one fiduciary's filled every block."""
    others = [candidate(b"%d" % number, lane, 200, 0) for number in range(5)]
    chosen = taken([*flood(lane), *others])
    assert [one for one in chosen if not one.startswith(b"mallory")] == [one.tx for one in others]
    assert chosen[0].startswith(b"mallory"), "what is taken keeps its order"


def test_next_keys_decisions_have_half_of_the_decisions_eighth_of_a_block() -> None:
    def decision(number: int, name: bytes, *, counted: bool) -> admission.Candidate:
        waiting = Waiting(Lane.DECISION, b"%s %d" % (name, number), 400, name, counted)
        return admission.Candidate(b"%s %d" % (name, number), 100, waiting)

    rotations = [decision(number, b"rotate", counted=False) for number in range(9)]
    vetoes = [decision(number, b"veto", counted=True) for number in range(9)]
    first = taken(rotations + vetoes, max_cost=8_000)[:10]
    assert first == [b"rotate %d" % number for number in range(5)] + [b"veto %d" % number for number in range(5)]


def test_signers_share_a_block_by_cost_where_it_has_no_room_for_all() -> None:
    cheap = [candidate(b"cheap", Lane.RESULT, 50, number) for number in range(200)]
    chosen = taken([*flood(Lane.RESULT), *cheap])
    of_cheap = sum(one.startswith(b"cheap") for one in chosen)
    assert abs(50 * of_cheap - 300 * (len(chosen) - of_cheap)) <= 300


def test_results_leave_an_eighth_of_a_block_to_users_and_take_it_where_none_wait() -> None:
    users = [candidate(b"%d" % number, Lane.USER, 100, number) for number in range(20)]
    chosen = taken([*flood(Lane.RESULT), *users])
    assert sum(b"USER" in one for one in chosen) >= 5
    assert sum(b"RESULT" in one for one in chosen) == 3_500 // 300
    assert len(taken(flood(Lane.RESULT))) == 4_000 // 300


def test_a_result_that_costs_nearly_a_whole_block_is_taken_though_users_wait() -> None:
    users = [candidate(b"%d" % number, Lane.USER, 100, number) for number in range(50)]
    dear = candidate(b"one", Lane.RESULT, 3_900, 0)
    assert taken([*users, dear])[0] == dear.tx


# --- results ----------------------------------------------------------------------------------------------------


def test_results_of_one_identity_flooding_in_bytes_keep_no_hook_out(world: World) -> None:
    """What was seen: 286 enrolments of 22 kB from one identity shut every mempool to hooks' results."""
    chain = world.custody.chain
    chain.mempool = Mempool()
    order = world.custody.place(nonce("due"), fulfil=False)
    chain.mempool = Mempool()
    taken = 0
    while True:
        message = mfa_pb2.EnrolClients(realm=os.urandom(32), suite=mfa_pb2.MFA_SUITE_RFC9380)
        for _ in range(100):
            message.clients.add(
                client=os.urandom(32), nonce=os.urandom(32), transport_key=os.urandom(48), proof=os.urandom(80)
            )
        tx = chain.tx(world.mallory, message)
        if chain.check(tx).code:
            break
        taken += len(tx)
    refused(chain.check(tx), Code.BUSY, "signer")
    assert taken <= MAX_TXS_BYTES // 16
    for founder in chain.founders:
        result = chain.tx(founder, tx_pb2.FulfilOrder(order=order), key=founder.node_key)
        assert chain.check(result).code == Code.OK


@pytest.mark.parametrize("who", ["user", "fiduciary"])
def test_other_signatures_of_the_same_body_count_as_what_they_take_up(world: World, who: str) -> None:
    """CometBFT keeps each of them: 399 signatures of one body had 8 MB admitted, and 20 kB counted."""
    chain, founder = world.custody.chain, world.custody.chain.founders[0]
    order = world.custody.place(nonce("due"), fulfil=False)
    chain.mempool = Mempool(max_txs_bytes=200_000)
    if who == "user":
        signer, key, message, most = world.mallory, world.mallory.tx_key, tx_pb2.CloseVault(vault=bytes(32)), 12_500
    else:
        signer, key, message, most = founder, founder.node_key, tx_pb2.FulfilOrder(order=order), 65_536
    body = body_bytes(CHAIN_ID, message, chain.height + 50, bytes(16))
    statement = statements.signed_tx_bytes(chain.gid, signer.identity, body)
    answers = []
    for number in range(1, 300):
        tx = tx_pb2.SignedTx(body=body, signer=signer.identity, signature=another_signature(key, statement, number))
        encoded = tx.SerializeToString(deterministic=True)
        answers.append(because(chain.check(encoded)))
        assert because(chain.check(encoded)) == answers[-1], "CheckTx is idempotent"
    assert answers.count(TAKEN) == most // 315
    assert set(answers[answers.count(TAKEN) :]) == {Because(Code.BUSY, "signer")}


def test_several_results_for_one_thing_may_wait_within_the_fiduciarys_share(world: World) -> None:
    """A result that was refused in a block is made anew while the first still waits: by bytes, not by one for each."""
    custody, chain = world.custody, world.custody.chain
    order = custody.place(nonce("due"), fulfil=False)
    chain.mempool = Mempool(max_txs_bytes=200_000)
    founder, other = chain.founders[:2]
    answers = []
    for _ in range(300):
        answers.append(because(chain.check(chain.tx(founder, tx_pb2.FulfilOrder(order=order), key=founder.node_key))))
    assert answers.count(TAKEN) == 65_536 // 315
    assert set(answers[answers.count(TAKEN) :]) == {Because(Code.BUSY, "signer")}
    assert chain.check(chain.tx(other, tx_pb2.FulfilOrder(order=order), key=other.node_key)).code == Code.OK


def early(world: World, message: Message, who: Actor, made_at_height: int, key: SigningKey | None = None) -> bytes:
    chain = world.custody.chain
    body = body_bytes(CHAIN_ID, message, chain.height + 50, os.urandom(16), made_at_height)
    return signed_tx(chain.gid, who.identity, key or who.node_key, body)


LATE = Because(Code.NOT_DUE, "not-early")


@pytest.mark.parametrize(("ahead", "code"), [(-1, LATE), (0, LATE), (1, TAKEN), (3, TAKEN), (4, LATE)])
def test_a_result_that_is_early_is_taken_by_a_node_at_most_three_blocks_behind(
    world: World, ahead: int, code: Because
) -> None:
    chain, founder = world.custody.chain, world.custody.chain.founders[0]
    message = tx_pb2.FulfilSecret(request=world.granted, sealed=SEALED)
    assert because(chain.check(early(world, message, founder, chain.height + ahead))) == code


def test_an_early_result_is_dropped_where_its_height_has_come_and_it_is_not_due(world: World) -> None:
    chain, founder = world.custody.chain, world.custody.chain.founders[0]
    tx = early(world, tx_pb2.FulfilSecret(request=world.granted, sealed=SEALED), founder, chain.height + 2)
    assert chain.check(tx).code == Code.OK
    assert propose(world, [tx]) == [], "what is not due is in no proposal"
    chain.block()
    assert chain.check(tx, recheck=True).code == Code.OK
    chain.block()
    refused(chain.check(tx, recheck=True), Code.NOT_DUE, "not-early")


def test_an_early_result_is_proposed_from_the_block_on_in_which_it_is_due(world: World) -> None:
    custody, chain = world.custody, world.custody.chain
    founder = chain.founders[0]
    state = Overlay(chain.view)
    due.add(state, founder.identity, DueKind.FULFIL_SECRET, world.pending, chain.time_s, chain.height + 3)
    chain.view.apply(Changes(index=state.changes().index))
    tx = early(world, tx_pb2.FulfilSecret(request=world.pending, sealed=SEALED), founder, chain.height + 2)
    for _ in range(2):
        assert chain.check(tx, recheck=True).code == Code.OK
        assert propose(world, [tx]) == []
        chain.block()
    assert chain.check(tx, recheck=True).code == Code.OK
    assert propose(world, [tx]) == [tx]
    assert custody.request_record(world.pending).answers == 0


def test_who_is_no_fiduciary_has_no_place_for_early_results_and_a_removed_one_only_while_it_owes(world: World) -> None:
    chain, founder = world.custody.chain, world.custody.chain.founders[3]
    message = tx_pb2.FulfilSecret(request=world.granted, sealed=SEALED)
    stray = early(world, message, world.mallory, chain.height + 1, world.mallory.tx_key)
    refused(chain.check(stray), Code.NOT_DUE, "signer")
    record = FIDUCIARIES.get(chain.view, founder.identity)
    record.status = identity_pb2.FIDUCIARY_STATUS_REMOVED
    leaf = (FIDUCIARIES.key(founder.identity), record.SerializeToString(deterministic=True))
    owed = [key for key, _ in chain.view.index_scan(b"due/" + founder.identity)]
    assert owed
    chain.view.apply(Changes(leaves=(leaf,)))
    chain.mempool = Mempool()
    assert chain.check(early(world, message, founder, chain.height + 1)).code == Code.OK
    chain.view.apply(Changes(index=tuple((key, None) for key in owed)))
    chain.mempool = Mempool()
    refused(chain.check(early(world, message, founder, chain.height + 1)), Code.NOT_DUE, "signer")


def test_only_a_result_says_at_which_height_it_was_made_and_before_it_expires(world: World) -> None:
    chain, founder = world.custody.chain, world.custody.chain.founders[0]
    user = early(world, tx_pb2.CloseVault(vault=world.unused_vault), world.alice, 1, world.alice.tx_key)
    refused(chain.check(user), Code.MALFORMED, "made-at")
    message = tx_pb2.FulfilSecret(request=world.granted, sealed=SEALED)
    refused(chain.check(early(world, message, founder, chain.height + 50)), Code.MALFORMED, "made-at")


def test_being_early_means_nothing_once_it_is_executed(world: World) -> None:
    """A block may hold it all the same: the message itself says whether it is too early."""
    chain, founder = world.custody.chain, world.custody.chain.founders[0]
    assert world.custody.request_record(world.granted).status == custody_pb2.REQUEST_STATUS_GRANTED
    tx = early(world, tx_pb2.FulfilSecret(request=world.granted, sealed=SEALED), founder, chain.height + 9)
    refused(chain.block(tx).tx_results[0], Code.NOT_RELEASED_YET, "sealed")
    order = world.custody.place(nonce("due"), fulfil=False)
    tx = early(world, tx_pb2.FulfilOrder(order=order), founder, chain.height + 9)
    assert chain.block(tx).tx_results[0].code == Code.OK
