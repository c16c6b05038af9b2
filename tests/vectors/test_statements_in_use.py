"""What parties really sent and sealed in whole flows, worked out again by tests/vectors/statements.

``test_statements.py`` compares functions; here is what they are called with: by nodes, by clients and by the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import py_arkworks_bls12381 as arkworks
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import Message

from abci_app.crypto import hpke
from abci_app.pb.dta.v1 import (
    authority_pb2,
    custody_pb2,
    envelope_pb2,
    extraction_pb2,
    governance_pb2,
    identity_pb2,
    mfa_pb2,
    tx_pb2,
)
from abci_app.state.records import (
    CEREMONIES,
    CEREMONY_PARTIES,
    EXTRACTION_ITEMS,
    IDENTITIES,
    ORDERS,
    PROPOSALS,
    REQUESTS,
    SIGNING_POLICIES,
    SIGNINGS,
    VAULTS,
)
from dta.base.secret import SecretBytes
from dta.client.custody import asking, keyfile, orders, receiving, signing, vaults
from dta.client.custody.orders import NewOrder
from dta.custodians.mpc_bls import MpcBls
from tests.support import realms
from tests.support.authority import CUSTODY, SIGNING, Dealt
from tests.support.ceremonies import consortium
from tests.support.custody import k_of, single
from tests.support.keystore import software_keystore
from tests.support.order_flow import REALM, World, make_world
from tests.vectors.statements import ceremonies as said
from tests.vectors.statements import custody, keys, ledger, mpin
from tests.vectors.statements.rows import ORDER, Msg, challenge, g1, g2, hash_g1, hkdf, plus, scalar, times

SECRET = b"what is entrusted"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def plainly(message: Message) -> Msg:
    """A message of ours as the restating modules take one."""
    return Msg(message.DESCRIPTOR.name, _fields(message))


def _fields(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        values = list(value) if field.is_repeated else [value]
        plain = [_fields(each) if isinstance(each, Message) else each for each in values]
        found[field.name] = plain if field.is_repeated else plain[0]
    return found


def sent(txs: Iterable[bytes], kind: type[Message]) -> list[tuple[bytes, Any]]:
    """The messages of one kind, those in bundles too, each with its signer."""
    return [(signer, message) for signer, message in _all(txs) if isinstance(message, kind)]


def _all(txs: Iterable[bytes]) -> Iterator[tuple[bytes, Message]]:
    for tx in txs:
        signed = tx_pb2.SignedTx.FromString(tx)
        body = tx_pb2.TxBody.FromString(signed.body)
        message = getattr(body, body.WhichOneof("message") or "")
        parts = message.results if isinstance(message, tx_pb2.SubmitResults) else ()
        for part in parts:
            yield signed.signer, getattr(part, part.WhichOneof("message") or "")
        yield signed.signer, message


def txs_of(world: World) -> list[bytes]:
    return [tx for height in sorted(world.chain.txs) for tx in world.chain.txs[height]]


def holds(tag: str, context: Sequence[bytes], equations: Sequence[tuple[bytes, said.Equations]], proof: bytes) -> bool:
    """Whether a proof is one: ``equations`` are an image each, with the terms of its one equation."""
    offset, announced = 0, []
    for image, _ in equations:
        announced.append(proof[offset : offset + len(image)])
        offset += len(image)
    responses = [int.from_bytes(proof[at : at + 32], "big") for at in range(offset, len(proof), 32)]
    c = int.from_bytes(challenge(tag, *context, *announced).result, "big")
    for (image, (terms,)), announcement in zip(equations, announced, strict=True):
        products = [times(base, responses[number]) for base, number in terms]
        left = products[0] if len(products) == 1 else plus(*products)
        if left != plus(announcement, times(image, c)):
            return False
    return all(response < ORDER for response in responses)


def at_zero(shares: dict[int, int]) -> int:
    """Lagrange's interpolation of scalars."""
    total = 0
    for i, share in shares.items():
        weight = 1
        for j in shares:
            if j != i:
                weight = weight * j * pow(j - i, -1, ORDER) % ORDER
        total += share * weight
    return total % ORDER


def is_bls_signature(public_key: bytes, message: bytes, signature: bytes, dst: str = custody.BLS_TAG) -> bool:
    base = arkworks.G2Point.hash_to_curve(message, dst.encode())
    minus_g1 = -arkworks.G1Point()
    key, point = arkworks.G1Point.from_compressed_bytes(public_key), arkworks.G2Point.from_compressed_bytes(signature)
    return bool(arkworks.GT.pairing_check([key, minus_g1], [base, point]))


def test_every_transaction_is_signed_over_the_bytes_of_the_page(world: World) -> None:
    vaults.open_vault(world.session(world.alice), "hsm-realm", world.founders)
    txs = txs_of(world)
    assert len(sent(txs, tx_pb2.PublishVaultKey)) == 4
    for tx in txs:
        signed = tx_pb2.SignedTx.FromString(tx)
        record = IDENTITIES.get(world.chain.replica.view, signed.signer)
        covered = ledger.signed_bytes(world.chain.replica.gid, signed.signer, signed.body)
        is_result = bool(sent([tx], tx_pb2.PublishVaultKey))
        Ed25519PublicKey.from_public_bytes(record.node_key if is_result else record.tx_key).verify(
            signed.signature, covered
        )


def opened_shares(world: World, placed: tx_pb2.PlaceOrder, context: bytes, header: Any) -> dict[int, bytes]:
    """Every fiduciary's share, opened by what the page says its vault's key is."""
    gid, shares = world.chain.replica.gid, {}
    agents = {agent.founder.identity: agent for agent in world.chain.agents}
    for index, recipient in enumerate(header.recipients, start=1):
        agent = agents[recipient.identity]
        store, label = (
            software_keystore(agent.directory / "keys", agent.founder),
            ledger.label("vault", gid, placed.vault),
        )
        asked, info = keys.inputs_of_derive("vault-hpke", gid + placed.vault, 96)
        seed = hkdf(store.prf(label.decode(), asked).reveal(), info, 96)
        commitment = placed.share_commitments[index - 1]
        info = custody.order_seal_info(context, index, commitment, plainly(header)).result
        shares[index] = hpke.open_sealed(seed[:64], seed[64:], info, recipient.sealed)
        assert custody.share_commitment(context, index, shares[index]).result == commitment
    return shares


def test_an_order_under_vault_keys_is_sealed_committed_and_answered_as_the_pages_say(world: World) -> None:
    alice, bob, gid = world.alice.identity, world.bob.identity, world.chain.replica.gid
    vault = vaults.open_vault(world.session(world.alice), "hsm-realm", world.founders).record.id
    rule = custody_pb2.BeneficiaryRule(identity=bob)
    order = orders.place(
        world.session(world.alice), REALM, NewOrder(vault, SecretBytes(SECRET), single(bob), rule)
    ).record.id
    opened = asking.prepare(world.session(world.bob), order)
    asking.submit(world.session(world.bob), opened)
    kept = keyfile.load(world.session(world.bob).directory, world.session(world.bob).party.need_root(), gid,
                        opened.request)  # fmt: skip
    assert receiving.receive(world.session(world.bob), REALM, opened.request).secret.reveal() == SECRET
    txs = txs_of(world)
    ((_, opening),), ((_, placed),) = sent(txs, tx_pb2.OpenVault), sent(txs, tx_pb2.PlaceOrder)
    assert VAULTS.get(world.chain.replica.view, vault).id == custody.vault_id(gid, alice, opening.nonce).result
    assert order == custody.order_id(gid, alice, placed.nonce).result

    policy = custody.policy_hash(plainly(placed.policy), plainly(placed.rule)).result
    context = custody.order_context(gid, vault, alice, placed.nonce, policy).result
    envelope = envelope_pb2.Envelope.FromString(world.chain.gateways.find(placed.envelope_cid) or b"")
    header = envelope_pb2.EnvelopeHeader.FromString(envelope.header)
    assert header.context == context
    covered = custody.envelope_statement(gid, envelope.header, envelope.body, list(envelope.signers)).result
    assert is_bls_signature(world.alice.bls_key.public_key, covered, envelope.signature)
    shares = opened_shares(world, placed, context, header)
    k = scalar(at_zero({index: int.from_bytes(shares[index], "big") for index in (1, 2, 3)}))
    assert custody.key_commitment(context, k).result == placed.key_commitment
    assert custody.sealed_body(k, envelope.header, SECRET).result == envelope.body

    ((_, asked),), answers = sent(txs, tx_pb2.RequestSecret), sent(txs, tx_pb2.FulfilSecret)
    request = custody.request_id(gid, order, bob, asked.nonce).result
    record = REQUESTS.get(world.chain.replica.view, request)
    assert record.content_digest == custody.request_content_digest(gid, request, plainly(asked)).result
    held = [kept.keys[fiduciary] for fiduciary in placed.fiduciaries]
    assert list(asked.key_digests) == [custody.hpke_key_digest(plainly(key.public)).result for key in held]
    assert len(answers) >= 3
    for fiduciary, answer in answers:
        index = 1 + list(placed.fiduciaries).index(fiduciary)
        info = custody.answer_seal_info(gid, request, fiduciary, index, placed.share_commitments[index - 1]).result
        seed = held[index - 1].seed.reveal()
        assert hpke.open_sealed(seed[:64], seed[64:], info, answer.sealed) == shares[index]


def dealt_key(world: World, purpose: authority_pb2.Purpose) -> Dealt:
    dealt = world.chain.deal(purpose)
    world.chain.make_block()
    world.chain.make_block()
    return dealt


def asked_of(world: World, dealt: Dealt, suite: str, use: int, request: bytes) -> dict[str, Any]:
    return {"gid": world.chain.replica.gid, "suite": suite, "purpose": int(dealt.purpose), "use": use,
            "authority": dealt.id, "epoch": dealt.epoch, "request": request, "item": 0}  # fmt: skip


def test_an_order_under_an_authority_key_is_encrypted_and_answered_as_the_pages_say(world: World) -> None:
    alice, bob, gid = world.alice.identity, world.bob.identity, world.chain.replica.gid
    dealt = dealt_key(world, CUSTODY)
    new = NewOrder(b"", SecretBytes(SECRET), single(bob), custody_pb2.BeneficiaryRule(identity=bob))
    order = orders.place(world.session(world.alice), MpcBls(), replace(new, authority=dealt.id)).record.id
    opened = asking.prepare(world.session(world.bob), order)
    asking.submit(world.session(world.bob), opened)
    assert receiving.receive(world.session(world.bob), MpcBls(), opened.request).secret.reveal() == SECRET
    txs = txs_of(world)
    ((_, placed),), ((_, asked),) = sent(txs, tx_pb2.PlaceOrder), sent(txs, tx_pb2.RequestSecret)
    policy = custody.policy_hash(plainly(placed.policy), plainly(placed.rule)).result
    identity = custody.custody_identity(gid, dealt.id, alice, placed.nonce, policy).result
    assert ORDERS.get(world.chain.replica.view, order).identity == identity

    body = envelope_pb2.Envelope.FromString(world.chain.gateways.find(placed.envelope_cid) or b"").body
    base = hash_g1(identity, custody.CUSTODY_TAG)
    shared = custody.pairing_bytes(times(base, dealt.secret), body[:96])
    sigma = custody.xor(body[96:128], custody.h("DTA-v1-ibe-mask", shared))
    data_key = custody.xor(body[128:160], custody.h("DTA-v1-ibe-sigma", sigma))
    key_g2 = dealt.public_key_g2
    assert custody.ibe_ciphertext(sigma, data_key, identity, dealt.id, key_g2, SECRET).result == body  # type: ignore[arg-type]

    request = custody.request_id(gid, order, bob, asked.nonce).result
    item = EXTRACTION_ITEMS.get(world.chain.replica.view, request, 0)
    assert (item.base, item.transport, item.subject) == (base, asked.transport_key, bob)
    use = extraction_pb2.USE_CUSTODY
    context = said.transport_context(gid, use, request, order, bob, asked.transport_key)
    assert holds("DTA-v1-proof-transport", context, [(asked.transport_key, [[(g1(), 0)]])], asked.possession)
    about = said.asked_parts(asked_of(world, dealt, "BF-BLS12381-FULLIDENT", use, request))
    answers = sent(txs, tx_pb2.FulfilSecret)
    assert len(answers) >= 3
    for fiduciary, answer in answers:
        index, share = dealt.shares[fiduciary]
        public, made = g1(share), answer.partial
        parts = (*about, index.to_bytes(4, "big"), b"G1", public, base, asked.transport_key, made.c1, made.c3)
        equations: list[tuple[bytes, said.Equations]] = [
            (public, [[(g1(), 0)]]), (made.c1, [[(g1(), 1)]]), (made.c3, [[(base, 0), (asked.transport_key, 1)]])
        ]  # fmt: skip
        assert holds("DTA-v1-proof-blinded", parts, equations, made.proof)


def test_a_signing_order_signs_what_the_page_says(world: World) -> None:
    gid, dealt = world.chain.replica.gid, dealt_key(world, SIGNING)
    policy = k_of(1, world.alice.identity)
    record = extraction_pb2.SigningPolicy(authority=dealt.id, policy=policy)
    world.chain.write({SIGNING_POLICIES.key(dealt.id): record.SerializeToString()})
    world.chain.make_block()
    world.chain.make_block()
    found = signing.place(world.session(world.alice), dealt.id, "release", b"v1.2.3")
    signing.wait(world.session(world.alice), found.record.request, 60)
    txs = txs_of(world)
    ((_, placed),) = sent(txs, extraction_pb2.PlaceSigningOrder)
    order = custody.order_id(gid, world.alice.identity, placed.nonce).result
    request = custody.request_id(gid, order, world.alice.identity, placed.nonce).result
    digest = custody.signing_content_digest(gid, request, plainly(placed)).result
    assert REQUESTS.get(world.chain.replica.view, request).content_digest == digest
    message = custody.signing_message(gid, dealt.id, "release", b"v1.2.3", b"").result
    base = hash_g1(message, custody.SIGNING_TAG)
    assert SIGNINGS.get(world.chain.replica.view, request).signature == times(base, dealt.secret)
    about = said.asked_parts(asked_of(world, dealt, custody.SIGNING_TAG, extraction_pb2.USE_SIGN, request))
    for fiduciary, answer in sent(txs, extraction_pb2.SubmitUnblinded):
        index, share = dealt.shares[fiduciary]
        (made,) = answer.partials
        parts = (*about, index.to_bytes(4, "big"), b"G1", g1(share), base, made.share)
        equations = [(g1(share), [[(g1(), 0)]]), (made.share, [[(base, 0)]])]
        assert holds("DTA-v1-proof-unblinded", parts, equations, made.proof)


def test_a_ceremony_and_its_reshare_are_bound_and_proved_as_the_pages_say() -> None:
    people = consortium(4)
    authority = people.make()
    people.reshare(authority, *people.chain.founders[:3], threshold=2)
    people.consent(authority)
    people.run(authority)
    chain, gid = people.chain, people.chain.gid
    txs = [tx for block in chain.blocks for tx in block.txs]
    last = people.authority(authority).last_ceremony
    for number in (1, 2):
        ceremony = CEREMONIES.get(chain.view, said.ceremony_id(gid, authority, number, 1).result)
        assert ceremony.phase == authority_pb2.CEREMONY_PHASE_DONE
        parties = list(CEREMONY_PARTIES.all(chain.view, ceremony.id))
        _check_digests(gid, ceremony, parties)
        _check_proofs(txs, ceremony, parties)
    assert ceremony.id == last


def test_what_is_proposed_and_voted_on_is_named_as_the_page_says() -> None:
    people = consortium(4)
    people.create()
    txs = [tx for block in people.chain.blocks for tx in block.txs]
    ((proposer, proposed),) = sent(txs, governance_pb2.Propose)
    proposal = ledger.proposal_id(people.chain.gid, proposer, proposed.nonce).result
    digest = ledger.action_digest(people.chain.gid, proposal, plainly(proposed.action)).result
    assert PROPOSALS.get(people.chain.view, proposal).content_digest == digest
    votes = [vote for _, vote in sent(txs, governance_pb2.Vote)]
    assert votes
    assert all((vote.proposal, vote.content_digest) == (proposal, digest) for vote in votes)


def test_registered_documents_are_named_and_proved_as_the_page_says(world: World) -> None:
    gid, registered = world.chain.replica.gid, sent(txs_of(world), tx_pb2.RegisterIdentity)
    assert len(registered) == 3
    for _, message in registered:
        envelope = envelope_pb2.Envelope.FromString(message.envelope)
        document = identity_pb2.IdentityDocument.FromString(envelope.body)
        plain = plainly(document)
        identity = ledger.identity_id(plain).result
        record = IDENTITIES.get(world.chain.replica.view, identity)
        assert list(envelope.signers) == [record.id] == [identity]
        covered = ledger.document_statement(gid, identity, plain, document.tx_key).result
        Ed25519PublicKey.from_public_bytes(document.tx_key).verify(document.tx_key_proof, covered)
        possession = ledger.bls_possession_statement(gid, identity, document.bls_key).result
        assert is_bls_signature(document.bls_key, possession, document.bls_proof, custody.POSSESSION_TAG)
        signed = custody.envelope_statement(gid, envelope.header, envelope.body, [identity]).result
        assert is_bls_signature(document.bls_key, signed, envelope.signature)


@pytest.mark.parametrize("suite", mpin.SUITES.values())
def test_a_realm_asks_for_the_points_and_under_the_names_of_the_page(suite: str) -> None:
    number = next(number for number, name in mpin.SUITES.items() if name == suite)
    world = realms.fresh_world(mfa_pb2.MfaSuite.ValueType(number))
    gid, key, realm, server = world.chain.gid, world.dealt.id, world.realm, world.server.identity
    assert realm == mpin.realm_id(gid, key).result
    clients = [realms.client(name) for name in ("a", "b")]
    enrolled = world.enrol(*clients)
    world.do(world.server, world.server_message())
    permits = world.permits_message(world.today)
    world.do(world.registrar, permits)
    txs = [tx for block in world.chain.blocks for tx in block.txs]

    ((_, enrolment),) = sent(txs, mfa_pb2.EnrolClients)
    tickets = [mpin.ticket(gid, realm, each.client, each.nonce).result for each in enrolment.clients]
    assert enrolled == mpin.batch_request(gid, realm, tickets).result
    for place, (each, ticket) in enumerate(zip(enrolment.clients, tickets, strict=True)):
        base = mpin.client_point(number, mpin.client_identity(number, gid, key, realm, each.client))
        assert world.item(enrolled, place).base == base
        context = said.transport_context(gid, 1, ticket, realm, each.client, each.transport_key)
        assert holds("DTA-v1-proof-transport", context, [(each.transport_key, [[(g1(), 0)]])], each.proof)
    ((_, asked),) = sent(txs, mfa_pb2.RequestServerSecret)
    request = mpin.server_request(gid, realm, server, asked.nonce).result
    q = mpin.point_of_server(number, gid, key, realm, server).result
    assert (world.item(request, 0).base, world.item(request, 0).subject) == (q, server)
    context = said.transport_context(gid, 2, request, realm, server, asked.transport_key)
    assert holds("DTA-v1-proof-transport", context, [(asked.transport_key, [[(g2(), 0)]])], asked.proof)

    (asking_tx,) = [tx for tx in txs if sent([tx], mfa_pb2.IssuePermits)]
    batch = mpin.permit_request(gid, realm, world.today, sha256(asking_tx).digest()).result
    for place, client in enumerate(clients):
        point = mpin.point_of_permit(number, gid, key, realm, client, world.today).result
        assert world.item(batch, place).base == point


def _of(message: Message, *names: str) -> Msg:
    """Some fields of a record, zeros written out."""
    return Msg(message.DESCRIPTOR.name, {name: getattr(message, name) for name in names})


def _check_digests(gid: bytes, ceremony: Any, parties: list[Any]) -> None:
    numbers = ("purpose", "kind", "epoch", "attempt", "threshold", "previous_epoch", "previous_threshold")
    plain = [_of(party, "fiduciary", "candidate", "old_index", "old_share", "index", "receive_key", "dealer_index")
             for party in parties]  # fmt: skip
    known = said.known_digest(gid, _of(ceremony, "id", "authority", *numbers), plain)
    assert known.result == ceremony.known_digest
    assert said.record_digest(known.result, plain).result == ceremony.record_digest
    candidates = [party.fiduciary for party in parties if party.candidate]
    old = [party.fiduciary for party in parties if party.old_index]
    assert (
        said.terms_digest(ceremony.first, ceremony.kind, ceremony.threshold, candidates, old).result == ceremony.terms
    )


def _check_proofs(txs: list[bytes], ceremony: Any, parties: list[Any]) -> None:
    by_id, generator = {party.fiduciary: party for party in parties}, g1()
    for who, accepted in sent(txs, authority_pb2.AcceptCeremony):
        if accepted.ceremony == ceremony.id:
            context = said.accept_context(ceremony.known_digest, who, accepted.receive_key)
            equations = [(accepted.receive_key, [[(generator, 0)]])]
            assert holds("DTA-v1-proof-accept", context, equations, accepted.proof)
    for who, dealt in sent(txs, authority_pb2.DealShares):
        if dealt.ceremony == ceremony.id:
            party, made = by_id[who], dealt.dealing
            assert party.dealing_digest == said.dealing_digest(plainly(made)).result
            context = said.dealing_context(
                ceremony.record_digest, who, party.dealer_index, list(made.commitments), made.ephemeral,
                list(made.shares), made.constant_g2,
            )  # fmt: skip
            images = [*made.commitments, made.ephemeral]
            equations = [(image, [[(generator, place)]]) for place, image in enumerate(images)]
            assert holds("DTA-v1-proof-dealing", context, equations, made.proof)
    confirmed = [(who, each) for who, each in sent(txs, authority_pb2.ConfirmShare) if each.ceremony == ceremony.id]
    assert len(confirmed) == ceremony.members
    for who, message in confirmed:
        party = by_id[who]
        context = (ceremony.record_digest, who, party.index.to_bytes(4, "big"), party.public_share)
        assert holds("DTA-v1-proof-confirm", context, [(party.public_share, [[(generator, 0)]])], message.proof)
