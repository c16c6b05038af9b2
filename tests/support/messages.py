"""Random messages of any type, built from their descriptors; and a world in which something can come of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from abci_app import cid
from abci_app.block import Changes
from abci_app.crypto import statements
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, tx_pb2
from abci_app.state.records import EXTRACTIONS, SIGNING_POLICIES
from dta.crypto.extraction import make_transport
from dta.crypto.scalar import SecretScalar
from tests.support.actors import Actor
from tests.support.authority import CUSTODY, SIGNING, deal, fixed_entropy, install_new, message_of, scalar
from tests.support.custody import SEALED, Custody, k_of, request_key, single
from tests.support.world import fresh_custody, nonce

MESSAGES = [field.message_type._concrete_class for field in tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields]


@cache
def busy_custody() -> tuple[Custody, list[bytes]]:
    """A world with orders and requests in every state, and the ids that are worth naming in it. Do not change it."""
    custody = fresh_custody()
    chain = custody.chain
    placed = custody.place(nonce("placed"), fulfil=False)
    active = custody.place(nonce("active"))
    granted = custody.request(active)
    policy = k_of(1, custody.principal.identity, veto_window_s=60)
    watched = custody.place(nonce("watched"), policy=policy)
    pending = custody.request(watched)
    answered = custody.request(active, nonce("answered"))
    for founder in chain.founders[:3]:
        assert chain.result(founder, tx_pb2.FulfilSecret(request=answered, sealed=SEALED)).code == 0
    closing = chain.run(custody.principal, tx_pb2.OpenVault(
        nonce=nonce("closing"), custodian="hsm-realm", fiduciaries=[f.identity for f in chain.founders]
    )).data  # fmt: skip
    assert chain.run(custody.principal, tx_pb2.CloseVault(vault=closing)).code == 0
    ids = [placed, active, granted, watched, pending, answered, closing, custody.vault, *_under_keys(custody)]
    digests = [custody.request_record(id_).content_digest for id_ in (granted, pending, answered)]
    actors = [custody.principal, custody.beneficiary, *chain.founders]
    return custody, [*ids, *digests, *(actor.identity for actor in actors)]


def _under_keys(custody: Custody) -> list[bytes]:
    """An order under a custody key with a granted request, and a granted signing order: (order, requests, keys)."""
    chain, alice = custody.chain, custody.principal
    safe, seal = install_new(chain, CUSTODY), install_new(chain, SIGNING)
    policy = extraction_pb2.SigningPolicy(authority=seal.id, policy=single(alice.identity), raw_allowed=True)
    chain.view.apply(Changes(leaves=((SIGNING_POLICIES.key(seal.id), policy.SerializeToString()),)))
    order = chain.run(alice, _order_under(custody, safe.id, "under a key")).data
    request = chain.run(custody.beneficiary, _request_under(custody, order, "first")).data
    signing = chain.run(alice, _signing(seal.id, "signing")).data
    assert all((order, request, signing))
    return [order, request, signing, safe.id, seal.id]


def _order_under(custody: Custody, key: bytes, tag: str) -> tx_pb2.PlaceOrder:
    bob = custody.beneficiary.identity
    return tx_pb2.PlaceOrder(
        nonce=nonce(tag), custodian="mpc-bls", authority=key, envelope_cid=cid.cid_of(b"envelope"), policy=single(bob),
        rule=custody_pb2.BeneficiaryRule(identity=bob),
    )  # fmt: skip


def _request_under(custody: Custody, order: bytes, tag: str) -> tx_pb2.RequestSecret:
    gid, bob = custody.chain.gid, custody.beneficiary.identity
    request = statements.request_id(gid, order, bob, nonce(tag))
    made = make_transport(
        G1, gid, extraction_pb2.USE_CUSTODY, request, order, bob, SecretScalar(scalar(tag)), fixed_entropy(tag)
    )
    return tx_pb2.RequestSecret(
        order=order, nonce=nonce(tag), beneficiary=bob, transport_key=made.point, possession=made.proof
    )


def _signing(key: bytes, tag: str) -> extraction_pb2.PlaceSigningOrder:
    return extraction_pb2.PlaceSigningOrder(nonce=nonce(tag), authority=key, kind="release", message=b"m", names=1)


def _answer_of(custody: Custody, request: bytes, fiduciary: Actor) -> Message:
    chain = custody.chain
    use = EXTRACTIONS.get(chain.view, request).use
    purpose = CUSTODY if use == extraction_pb2.USE_CUSTODY else SIGNING
    dealt = deal([founder.identity for founder in chain.founders], purpose)
    return message_of(chain.view, chain.gid, dealt, fiduciary, request, fixed_entropy(request))


def actors_of(custody: Custody) -> list[Actor]:
    """Everybody who can sign."""
    return [custody.principal, custody.beneficiary, *custody.chain.founders]


def _scalar(field: FieldDescriptor, ids: list[bytes]) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.one_of(
            st.sampled_from(ids), st.binary(max_size=40), st.binary(min_size=32, max_size=32),
            st.sampled_from([SEALED, bytes(64), nonce("active"), nonce("new")]),
        )  # fmt: skip
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.one_of(st.sampled_from(["hsm-realm", "", cid.cid_of(b"envelope"), "mpc-bls"]), st.text(max_size=8))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.integers(-1, 12)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    most = 2**32 - 1 if field.type == FieldDescriptor.TYPE_UINT32 else 2**64 - 1
    return st.one_of(st.integers(0, 6), st.integers(0, most), st.sampled_from([most, 2**31, 2**53]).filter(
        lambda value: value <= most
    ))  # fmt: skip


@st.composite
def random_message(draw: st.DrawFn, cls: type[Message], ids: list[bytes]) -> Message:
    """A ``cls`` with any fields set to something, known ids among it."""
    message = cls()
    for field in cls.DESCRIPTOR.fields:
        if draw(st.integers(0, 9)) == 0:
            continue
        values = _scalar(field, ids) if field.message_type is None else random_message(
            field.message_type._concrete_class, ids
        )  # fmt: skip
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values, max_size=5)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values))
        else:
            setattr(message, field.name, draw(values))
    return message


def sensible_messages(custody: Custody, ids: list[bytes]) -> list[tuple[Actor, Message, bool]]:
    """(signer, message, signed by the node key?): one of each type that the ledger takes, or nearly."""
    placed, active, granted, watched, pending, answered, closing, vault = ids[:8]
    under_key, asked, signing, safe, seal = ids[8:13]
    alice, bob, one = custody.principal, custody.beneficiary, custody.chain.founders[0]
    seed, private = request_key(custody.chain, one, nonce("answered"))
    digest = custody.request_record(pending).content_digest
    eve = Actor("eve")
    return [
        (one, tx_pb2.RegisterIdentity(envelope=eve.enrol(custody.chain.gid)), False),
        (alice, tx_pb2.SuspendIdentity(), False),
        (alice, tx_pb2.OpenVault(nonce=nonce("new"), custodian="hsm-realm", fiduciaries=[one.identity]), False),
        (alice, tx_pb2.CloseVault(vault=vault), False),
        (alice, tx_pb2.CancelCloseVault(vault=closing), False),
        (one, tx_pb2.ConfirmVaultErased(vault=closing), True),
        (alice, custody.order_message(nonce("new")), False),
        (one, tx_pb2.FulfilOrder(order=placed), True),
        (one, tx_pb2.RejectOrder(order=placed, rejection=5), True),
        (bob, custody.request_message(active, nonce("new")), False),
        (alice, tx_pb2.ApproveRequest(request=pending, content_digest=digest), False),
        (alice, tx_pb2.VetoRequest(request=pending, content_digest=digest), False),
        (one, tx_pb2.FulfilSecret(request=granted, sealed=SEALED), True),
        (bob, tx_pb2.ReportShare(
            request=answered, fiduciary=one.identity, mlkem768_seed=seed, x25519_private=private), False),
        (alice, tx_pb2.CloseOrder(order=watched), False),
        (alice, _order_under(custody, safe, "new"), False),
        (bob, _request_under(custody, under_key, "second"), False),
        (one, _answer_of(custody, asked, one), True),
        (alice, _signing(seal, "new"), False),
        (one, _answer_of(custody, signing, one), True),
    ]  # fmt: skip
