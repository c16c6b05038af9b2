"""``dta sign`` from asking to verifying, over real proofs: as its users see it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from abci_app.codes import Code
from abci_app.crypto.bls import verify_min_sig
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.records import SIGNING_POLICIES
from dta.base.errors import NotFound, TimedOut, UsageError
from dta.client.custody import asking, signing
from dta.client.custody.errors import RequestEnded, WouldBeRefused
from dta.client.receipt.collect import collect_order_receipt
from tests.support.authority import CUSTODY, SIGNING, Dealt
from tests.support.custody import k_of
from tests.support.order_flow import World, make_world
from tests.support.refusals import refused

KEY = "release"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Alice and bob decide together what the key signs."""
    made = make_world(tmp_path)
    dealt = made.chain.deal(SIGNING)
    policy = k_of(2, made.alice.identity, made.bob.identity)
    record = extraction_pb2.SigningPolicy(authority=dealt.id, policy=policy, raw_allowed=True)
    made.chain.write({SIGNING_POLICIES.key(dealt.id): record.SerializeToString()})
    made.chain.make_block()
    made.chain.make_block()
    return made


def key_of(world: World) -> Dealt:
    return next(iter(world.chain.dealt.values()))


def approve(world: World, request: bytes) -> None:
    bob = world.session(world.bob)
    content = asking.content(bob, request)
    assert content.checked, "what bob approves was recomputed from the transaction's own bytes"
    asking.approve(bob, content)


def test_a_signature_is_asked_for_approved_waited_for_and_verified(world: World) -> None:
    alice = world.session(world.alice)
    found = signing.place(alice, key_of(world).id, KEY, b"v1.2.3")
    request = found.record.request
    assert (found.request.record.status, found.record.signature) == (pb.REQUEST_STATUS_PENDING, b"")
    assert not found.is_valid
    approve(world, request)
    signed = signing.wait(alice, request, 60)
    assert signed.is_valid
    assert signed.is_of(b"v1.2.3")
    assert not signed.is_of(b"v1.2.4")
    assert verify_min_sig(signed.authority.public_key_g2, signed.bytes_signed, signed.record.signature)
    assert (signed.request.answered, signed.request.threshold) == (3, 3)


def test_a_long_file_is_signed_by_its_digest_and_raw_bytes_as_they_are(world: World) -> None:
    alice, content = world.session(world.alice), b"9" * 5_000
    found = signing.place(alice, key_of(world).id, KEY, content)
    assert found.record.digest == sha256(content).digest()
    approve(world, found.record.request)
    signed = signing.wait(alice, found.record.request, 60)
    assert signed.is_valid
    assert signed.is_of(content)
    raw = signing.place(alice, key_of(world).id, KEY, b"round 7", raw=True)
    approve(world, raw.record.request)
    assert signing.wait(alice, raw.record.request, 60).bytes_signed == b"round 7"
    with pytest.raises(UsageError):
        signing.place(alice, key_of(world).id, KEY, content, raw=True)


def test_what_is_not_approved_is_not_signed(world: World) -> None:
    alice = world.session(world.alice)
    request = signing.place(alice, key_of(world).id, KEY, b"m").record.request
    with pytest.raises(TimedOut):
        signing.wait(alice, request, 10)
    world.chain.make_block(after_s=90_000)
    with pytest.raises(RequestEnded):
        signing.wait(world.session(world.alice), request, 10)


def test_a_key_of_another_purpose_and_a_request_of_another_kind_are_said_so(world: World) -> None:
    custody = world.chain.deal(CUSTODY)
    world.chain.make_block()
    world.chain.make_block()
    with pytest.raises(WouldBeRefused) as caught:
        signing.place(world.session(world.alice), custody.id, KEY, b"m")
    refused(caught.value, Code.WRONG_PURPOSE, "client-sign")
    with pytest.raises(NotFound):
        signing.view(world.session(world.alice).ledger, bytes(32))


def test_a_receipt_of_the_signing_order_has_the_signature(world: World) -> None:
    alice = world.session(world.alice)
    found = signing.place(alice, key_of(world).id, KEY, b"v1.2.3")
    approve(world, found.record.request)
    signed = signing.wait(alice, found.record.request, 60)
    for _ in range(3):
        world.chain.make_block()
    trust = world.chain.trust_file(world.chain.replica.gid)
    receipt = collect_order_receipt(alice.ledger.rpc, trust, signed.record.order)  # type: ignore[arg-type]
    held = receipt.verified.order
    assert held is not None
    assert held.signings[signed.record.request].signature == signed.record.signature
    assert len(held.partials) == 3
