"""hsm-realm through the ledger: what goes in comes out, whoever cheats is named, what is erased is gone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hooks_harness import SECRET, World, make_world

from abci_app import canonical
from abci_app.block import TxResult
from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.envelope import order_seal_info
from abci_app.limits import MLKEM768_SEED_BYTES
from abci_app.params import default_params
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, tx_pb2
from abci_app.pb.dta.v1.identity_pb2 import IdentityRecord
from abci_app.state.due import DueKind
from abci_app.state.records import FULFILMENTS, IDENTITIES, REQUESTS, VAULT_KEYS, VAULTS
from dta.base.secret import SecretBytes
from dta.crypto.hpke import HpkePrivateKey, seal
from dta.custodians.hsm_realm import HsmRealm
from dta.custodians.plugin import CustodyContext, Entrusted, NotEnoughShares, OrderUnsound, PreparedOrder
from dta.envelope import Draft, sign
from dta.hsm import labels
from dta.hsm.errors import KeyMissing
from tests.support.refusals import refused

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    world.open_vault()
    return world


def rejections(world: World, order: bytes) -> list[str]:
    """Why each fiduciary rejected the order; an empty text where it fulfilled."""
    found = [FULFILMENTS.find(world.chain.view, order, one.identity) for one in world.chain.founders]
    names = [custody_pb2.Rejection.Name(one.rejection) if one is not None else "NONE" for one in found]
    return [name.removeprefix("REJECTION_").replace("UNSPECIFIED", "") for name in names]


def resealed(world: World, prepared: PreparedOrder, header: envelope_pb2.EnvelopeHeader) -> PreparedOrder:
    """The same order with another header, signed again by the principal."""
    body = envelope_pb2.Envelope.FromString(prepared.envelope_block).body
    block = sign(
        Draft(canonical.encode(header), body), world.chain.gid, {world.principal.identity: world.principal.bls_key}
    )
    return with_block(prepared, block)


def with_block(prepared: PreparedOrder, block: bytes) -> PreparedOrder:
    message = tx_pb2.PlaceOrder()
    message.CopyFrom(prepared.message)
    message.envelope_cid = cid_of(block)
    return PreparedOrder(message, block)


def header_of(prepared: PreparedOrder) -> envelope_pb2.EnvelopeHeader:
    return envelope_pb2.EnvelopeHeader.FromString(envelope_pb2.Envelope.FromString(prepared.envelope_block).header)


def test_what_the_principal_sealed_is_what_the_beneficiary_opens(world: World) -> None:
    order = world.place()
    said = world.settle()
    assert [type(message).__name__ for _, message in said] == ["FulfilOrder"] * 4
    assert world.order(order).status == custody_pb2.ORDER_STATUS_ACTIVE
    request = world.request(order)
    world.settle(*world.chain.founders[:3])
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_COMPLETED
    recovered = world.recover(request)
    assert recovered.secret == SECRET
    assert recovered.bad_fiduciaries == []
    assert "12-34" not in repr(recovered)
    # The fourth answers late: it still counts, and then nobody owes anything.
    world.settle()
    assert all(world.jobs(founder) == [] for founder in world.chain.founders)


def test_a_node_that_lost_its_disk_fulfils_from_token_and_ledger_alone(world: World, tmp_path: Path) -> None:
    order = world.place()
    world.settle()
    # Nothing but the keystore's file and the chain go into a second life.
    reborn = make_world(tmp_path)
    reborn.chain, reborn.blocks, reborn.vault = world.chain, world.blocks, world.vault
    request = world.request(order)
    for founder in world.chain.founders:
        reborn.tools[founder.identity] = replace(reborn.tools[founder.identity], pin=world.pin)
    reborn.settle()
    assert world.recover(request).secret == SECRET


def test_a_bad_share_names_its_fiduciary_and_the_ledger_agrees(world: World) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    liar = world.chain.founders[1]
    commitment = world.order(order).share_commitments[1]
    info = statements.answer_seal_info(world.chain.gid, request, liar.identity, 2, commitment)
    lie = seal(world.keys[request][liar.identity].public, info, SecretBytes(bytes(32)))
    assert world.chain.result(liar, tx_pb2.FulfilSecret(request=request, sealed=lie)).code == 0
    world.settle()
    recovered = world.recover(request)
    assert recovered.secret == SECRET
    assert recovered.bad_fiduciaries == [liar.identity]

    def report(fiduciary: bytes) -> TxResult:
        seed = world.keys[request][fiduciary].seed.reveal()
        message = tx_pb2.ReportShare(
            request=request, fiduciary=fiduciary, mlkem768_seed=seed[:MLKEM768_SEED_BYTES],
            x25519_private=seed[MLKEM768_SEED_BYTES:],
        )  # fmt: skip
        return world.chain.run(world.beneficiary, message)

    assert report(liar.identity).code == Code.OK
    refused(report(world.chain.founders[0].identity), Code.REPORT_UNFOUNDED)


def test_too_few_good_shares_open_nothing(world: World) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    world.settle(*world.chain.founders[:2])
    with pytest.raises(NotEnoughShares) as caught:
        world.recover(request)
    assert caught.value.data == {"good": 2, "threshold": 3, "bad": []}


def test_an_envelope_that_somebody_else_signed_is_rejected(world: World) -> None:
    prepared = world.prepare(bls=world.beneficiary.bls_key)
    order = world.place(prepared)
    world.settle(*world.chain.founders[:2])  # two of four are too many for a threshold of three
    assert rejections(world, order)[:2] == ["ENVELOPE_SIGNATURE"] * 2
    assert world.order(order).status == custody_pb2.ORDER_STATUS_FAILED


def test_an_envelope_bound_to_another_policy_is_rejected(world: World) -> None:
    prepared = world.prepare()
    prepared.message.policy.not_before_s = 1
    order = world.place(prepared)
    world.settle(*world.chain.founders[:2])
    assert rejections(world, order)[:2] == ["ENVELOPE_MALFORMED"] * 2


def test_a_block_that_is_no_envelope_is_rejected(world: World) -> None:
    order = world.place(with_block(world.prepare(), b"not an envelope"))
    world.settle(world.chain.founders[0])
    assert rejections(world, order)[0] == "ENVELOPE_MALFORMED"


def test_recipients_in_another_order_are_rejected(world: World) -> None:
    prepared = world.prepare()
    header = header_of(prepared)
    header.recipients.insert(0, header.recipients.pop(1))
    order = world.place(resealed(world, prepared, header))
    world.settle(world.chain.founders[3])
    assert rejections(world, order)[3] == "ENVELOPE_MALFORMED"


def test_a_fiduciary_that_the_envelope_leaves_out_says_so(world: World) -> None:
    prepared = world.prepare()
    header = header_of(prepared)
    header.recipients.pop(3)
    order = world.place(resealed(world, prepared, header))
    world.settle(world.chain.founders[3])
    assert rejections(world, order)[3] == "NOT_A_RECIPIENT"


def test_a_share_sealed_to_a_key_that_is_not_ours_is_unreadable(world: World) -> None:
    keys = {
        one.identity: VAULT_KEYS.get(world.chain.view, world.vault, one.identity).key for one in world.chain.founders
    }
    keys[world.chain.founders[0].identity] = HpkePrivateKey.generate().public
    order = world.place(world.prepare(keys=keys))
    world.settle(*world.chain.founders[:2])
    assert rejections(world, order)[:2] == ["SHARE_UNREADABLE", ""]


def test_a_changed_seal_is_unreadable(world: World) -> None:
    prepared = world.prepare()
    header = header_of(prepared)
    sealed = bytearray(header.recipients[0].sealed)
    sealed[-1] ^= 1
    header.recipients[0].sealed = bytes(sealed)
    order = world.place(resealed(world, prepared, header))
    world.settle(*world.chain.founders[:2])
    assert rejections(world, order)[:2] == ["SHARE_UNREADABLE", ""]


def test_a_share_that_is_not_the_one_committed_to_is_rejected(world: World) -> None:
    prepared = world.prepare()
    message, founder = prepared.message, world.chain.founders[0]
    # A cheating principal: another share, sealed under the very info that binds the commitment.
    policy_hash = statements.policy_hash(message.policy, message.rule)
    bound = statements.order_context(
        world.chain.gid, world.vault, world.principal.identity, message.nonce, policy_hash
    )
    share_info = statements.share_seal_info(bound, 1, message.share_commitments[0])
    header = header_of(prepared)
    key = VAULT_KEYS.get(world.chain.view, world.vault, founder.identity).key
    header.recipients[0].sealed = seal(key, order_seal_info(share_info, header), SecretBytes(b"\x01" * 32))
    order = world.place(resealed(world, prepared, header))
    world.settle(*world.chain.founders[:2])
    assert rejections(world, order)[:2] == ["SHARE_COMMITMENT", ""]


def test_an_envelope_over_the_parameter_is_rejected(tmp_path: Path) -> None:
    params = default_params()
    params.max_envelope_bytes = 65_536
    world = make_world(tmp_path, params=params)
    world.open_vault()
    order = world.place(world.prepare(secret=SecretBytes(bytes(70_000))))
    world.settle(world.chain.founders[0])
    assert rejections(world, order)[0] == "ENVELOPE_TOO_LARGE"


def test_shares_of_another_key_than_the_one_committed_to_blame_the_principal(world: World) -> None:
    prepared = world.prepare()
    prepared.message.key_commitment = bytes(32)
    order = world.place(prepared)
    world.settle()
    request = world.request(order)
    world.settle()
    with pytest.raises(OrderUnsound) as caught:
        world.recover(request)
    assert caught.value.data["principal"] == world.principal.identity.hex()


def test_a_vaults_key_is_found_again_and_never_made_twice(world: World) -> None:
    founder = world.chain.founders[0]
    context_tools = world.tools[founder.identity]
    vault = VAULTS.get(world.chain.view, world.vault)
    context = CustodyContext(world.chain.gid, founder.identity, context_tools.keystore())
    published = VAULT_KEYS.get(world.chain.view, world.vault, founder.identity).key
    assert world.custodian.vault_key(context, vault) == published


def test_a_closed_vaults_key_is_destroyed_and_its_shares_with_it(world: World) -> None:
    order = world.place()
    world.settle()
    record, block = world.order(order), world.blocks[world.order(order).envelope_cid]
    assert world.chain.run(world.principal, tx_pb2.CloseOrder(order=order)).code == 0
    assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=world.vault)).code == 0
    assert all(world.jobs(founder) == [] for founder in world.chain.founders)  # the delay runs
    for _ in range(10):
        world.chain.block(seconds=10_000)
    said = world.settle()
    assert [type(message).__name__ for _, message in said] == ["ConfirmVaultErased"] * 4
    vault = VAULTS.get(world.chain.view, world.vault)
    assert (vault.status, vault.erased) == (custody_pb2.VAULT_STATUS_CLOSED, 4)
    founder = world.chain.founders[0]
    keystore = world.tools[founder.identity].keystore()
    assert not keystore.has_prf_key(labels.vault(world.chain.gid, world.vault))
    context = CustodyContext(world.chain.gid, founder.identity, keystore)
    request = custody_pb2.RequestRecord(id=bytes(32), order=order)
    with pytest.raises(KeyMissing):
        world.custodian.release(
            context, Entrusted(record, vault, _principal(world), block), request, HpkePrivateKey.generate().public
        )


def _principal(world: World) -> IdentityRecord:
    return IDENTITIES.get(world.chain.view, world.principal.identity)


def test_a_third_partys_custodian_works_without_a_line_of_ours_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(PLUGINS / "escrow_note"))
    params = default_params()
    params.custodians[0].CopyFrom(type(params.custodians[0])(name="escrow-note", contribution_bytes=36, verifier=1))
    world = make_world(tmp_path, custodian="escrow-note", params=params)
    world.open_vault()
    order = world.place(world.prepare(threshold=1))
    world.settle()
    request = world.request(order)
    world.settle(world.chain.founders[2])
    assert world.recover(request).secret == SECRET
    assert "escrow_note" in sys.modules


def test_an_answer_has_the_length_that_the_ledger_wants(world: World) -> None:
    order = world.place()
    world.settle()
    world.request(order)
    founder = world.chain.founders[0]
    job = next(job for job in world.jobs(founder) if job.kind is DueKind.FULFIL_SECRET)
    message = world.answer(founder, job)
    assert isinstance(message, tx_pb2.FulfilSecret)
    assert len(message.sealed) == hpke.SEALED_OVERHEAD_BYTES + 32


def test_health_asks_a_keystore_for_one_key_and_not_for_all_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = world.chain.founders[0]
    store = world.keystores[actor.identity]
    monkeypatch.setattr(store, "labels", lambda: pytest.fail("all keys were asked for"))
    context = CustodyContext(world.chain.gid, actor.identity, store)
    assert [step.status for step in HsmRealm().health(context)] == ["ok"]
    store.close()
    assert [step.status for step in HsmRealm().health(context)] == ["failure"]
