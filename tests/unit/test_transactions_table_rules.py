"""What holds of every transaction beside its code: who pays, who finds a place, what a defect of ours costs."""

from __future__ import annotations

import dataclasses

import pytest

from abci_app import transition
from abci_app.block import Block, Changes, Time
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import ORDERS
from tests.support.custody import SEALED, Custody
from tests.support.refusals import Because, because, refused
from tests.support.world import body_of, fresh_custody, only_consumed, set_params, signed, without_notes


def close(custody: Custody) -> tx_pb2.CloseVault:
    """A message that the principal may send and that the ledger accepts."""
    return tx_pb2.CloseVault(vault=custody.vault)


def parts(custody: Custody) -> tuple[bytes, bytes, bytes]:
    """(body, signer, signature) of an acceptable transaction."""
    tx = tx_pb2.SignedTx.FromString(signed(custody.chain, custody.principal, body_of(custody.chain, close(custody))))
    return tx.body, tx.signer, tx.signature


def signed_body(custody: Custody, body: bytes) -> bytes:
    return signed(custody.chain, custody.principal, body)


def test_an_authentic_transaction_that_is_malformed_inside_is_consumed_alone() -> None:
    custody = fresh_custody()
    tx = custody.chain.tx(custody.principal, tx_pb2.CloseVault(vault=b"short"))
    refused(custody.chain.check(tx), Code.FIELD_INVALID, "vault")
    result = custody.chain.block(tx)
    refused(result.tx_results[0], Code.FIELD_INVALID, "vault")
    assert only_consumed(result.changes, tx_expiry(tx))
    refused(custody.chain.block(tx).tx_results[0], Code.REPLAYED)


def tx_expiry(tx: bytes) -> int:
    return tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body).expires_at_height


def test_nobody_burns_anothers_body_by_signing_it_themselves() -> None:
    custody = fresh_custody()
    body = parts(custody)[0]
    stolen = custody.chain.block(signed(custody.chain, custody.beneficiary, body))
    refused(stolen.tx_results[0], Code.NOT_PRINCIPAL, "close-vault")
    assert custody.chain.block(signed_body(custody, body)).tx_results[0].code == Code.OK


def test_a_block_holds_to_its_cost_and_to_each_identitys_count() -> None:
    custody = fresh_custody()
    set_params(custody.chain, max_block_cost=900)
    txs = [custody.chain.tx(custody.principal, tx_pb2.CloseVault(vault=bytes(32))) for _ in range(2)]
    assert [because(result) for result in custody.chain.block(*txs).tx_results] == [
        Because(Code.UNKNOWN_VAULT, "named"), Because(Code.BLOCK_FULL),
    ]
    set_params(custody.chain, max_block_cost=4_000_000, max_txs_per_identity=1)
    txs = [custody.chain.tx(custody.principal, tx_pb2.CloseVault(vault=bytes(32))) for _ in range(2)]
    txs.append(custody.chain.tx(custody.beneficiary, tx_pb2.CloseVault(vault=bytes(32))))
    answers = [because(result) for result in custody.chain.block(*txs).tx_results]
    assert answers == [
        Because(Code.UNKNOWN_VAULT, "named"), Because(Code.TOO_MANY, "txs"), Because(Code.UNKNOWN_VAULT, "named"),
    ]


def test_a_result_that_is_not_due_is_not_admitted() -> None:
    custody = fresh_custody()
    order = custody.place()
    chain, founder = custody.chain, custody.chain.founders[0]
    for message in (
        tx_pb2.FulfilOrder(order=order),
        tx_pb2.FulfilOrder(order=bytes(32)),
        tx_pb2.RejectOrder(order=order, rejection=1),
        tx_pb2.FulfilSecret(request=bytes(32), sealed=SEALED),
        tx_pb2.ConfirmVaultErased(vault=custody.vault),
    ):
        refused(chain.check(chain.tx(founder, message, key=founder.node_key)), Code.NOT_DUE, "not-early")
        refused(chain.check(chain.tx(custody.principal, message)), Code.NOT_DUE, "not-early")


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, KeyError, AttributeError])
def test_a_defect_of_ours_costs_one_transaction(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    custody = fresh_custody()

    def fail(context: Context, message: object) -> bytes:
        context.state.put(ORDERS.key(bytes(32)), b"half done")
        context.emit("order", bytes(32), "half-done")
        for counted in dataclasses.fields(context.scratch):
            if isinstance(of := getattr(context.scratch, counted.name), list):
                of.append(b"half done")
        raise error("secret detail")

    monkeypatch.setitem(SPECS, "close_vault", dataclasses.replace(SPECS["close_vault"], execute=fail))
    tx = custody.chain.tx(custody.principal, close(custody))
    result = custody.chain.block(tx)
    refused(result.tx_results[0], Code.FAILED)
    assert "secret detail" not in result.tx_results[0].log
    assert (result.validator_updates, result.events, result.tx_results[0].events) == ((), (), ())
    assert only_consumed(result.changes, tx_expiry(tx))


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, KeyError])
def test_a_defect_before_the_signature_costs_one_transaction_too(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    custody = fresh_custody()

    def fail(*_: object) -> bytes:
        raise error("detail")

    monkeypatch.setitem(SPECS, "close_vault", dataclasses.replace(SPECS["close_vault"], signing_key=fail))
    result = custody.chain.block(custody.chain.tx(custody.principal, close(custody)))
    refused(result.tx_results[0], Code.FAILED)
    assert without_notes(result.changes) == Changes()


@pytest.mark.parametrize("error", [MemoryError, RecursionError, OSError])
def test_what_differs_between_machines_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    custody = fresh_custody()

    def fail(*_: object) -> bytes:
        raise error

    for name in ("execute", "signing_key"):
        with monkeypatch.context() as patch:
            patch.setitem(SPECS, "close_vault", dataclasses.replace(SPECS["close_vault"], **{name: fail}))
            tx = custody.chain.tx(custody.principal, close(custody))
            block = Block(custody.chain.height + 1, Time(custody.chain.time_s + 1), (tx,))
            with pytest.raises(error):
                transition.apply_block(custody.chain.view, block)
