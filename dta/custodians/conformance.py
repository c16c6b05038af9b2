"""What every custodian has to pass, those that ship and anybody's own (docs/howto/write-a-custodian.md).

    for check in CHECKS:
        check(Bench(MyCustodian, "my-custodian", contribution_bytes, new_keystore))

Each check raises AssertionError that says what was wrong. ``new_keystore`` gives an empty, open keystore each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from abci_app import limits
from abci_app.crypto import hpke, statements
from abci_app.pb.dta.v1 import custody_pb2, identity_pb2
from dta.base.secret import SecretBytes
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.hpke import HpkePrivateKey
from dta.custodians.accepting import accept_all
from dta.custodians.plugin import (
    AcceptsMany,
    Custodian,
    CustodyContext,
    Entrusted,
    NotEnoughShares,
    OrderRejected,
    PreparedOrder,
    PrepareInput,
    Recovered,
    RecoverInput,
)
from dta.hsm.keystore import Keystore

GID = b"\x11" * limits.ID_BYTES
PRINCIPAL = b"\x22" * limits.ID_BYTES
BENEFICIARY = b"\x33" * limits.ID_BYTES
SECRET = SecretBytes(b"what nobody else may read")


@dataclass
class _Order:
    """An order that was prepared, as the ledger would have it, and its request."""

    prepared: PreparedOrder
    entrusted: Entrusted
    request: custody_pb2.RequestRecord
    keys: dict[bytes, HpkePrivateKey]


class Bench:
    """A vault of ``fiduciaries`` around one custodian, without a ledger."""

    def __init__(
        self,
        custodian: Callable[[], Custodian],
        name: str,
        contribution_bytes: int,
        new_keystore: Callable[[], Keystore],
        fiduciaries: int = 4,
    ) -> None:
        self.custodian = custodian()
        self.contribution_bytes = contribution_bytes
        self.ids = [bytes([0x40 + number]) * limits.ID_BYTES for number in range(fiduciaries)]
        self.contexts = {id_: CustodyContext(GID, id_, new_keystore()) for id_ in self.ids}
        self.bls = BlsPrivateKey.generate()
        self.vault = custody_pb2.VaultRecord(
            id=b"\x55" * limits.ID_BYTES, principal=PRINCIPAL, custodian=name, fiduciaries=self.ids,
            status=custody_pb2.VAULT_STATUS_OPEN,
        )  # fmt: skip
        self.vault_keys = {
            id_: self.custodian.vault_key(context, self.vault) for id_, context in self.contexts.items()
        }

    def place(self, threshold: int = 3, salt: bytes = b"\x66" * limits.NONCE_BYTES) -> _Order:
        """Prepare an order, and make of it what the ledger would."""
        prepared = self.custodian.prepare(
            PrepareInput(
                gid=GID, principal=PRINCIPAL, vault=self.vault, keys=self.vault_keys, threshold=threshold,
                policy=custody_pb2.Policy(nodes=[custody_pb2.PolicyNode(identity=BENEFICIARY)]),
                rule=custody_pb2.BeneficiaryRule(identity=BENEFICIARY), salt=salt, secret=SECRET, bls=self.bls,
                time_s=1_800_000_000,
            )
        )  # fmt: skip
        message = prepared.message
        order = custody_pb2.OrderRecord(
            id=statements.order_id(GID, PRINCIPAL, message.nonce), principal=PRINCIPAL, custodian=message.custodian,
            vault=message.vault, fiduciaries=message.fiduciaries, threshold=message.threshold,
            share_commitments=message.share_commitments, key_commitment=message.key_commitment,
            envelope_cid=message.envelope_cid, salt=message.nonce, policy=message.policy, rule=message.rule,
            status=custody_pb2.ORDER_STATUS_ACTIVE,
        )  # fmt: skip
        keys = {id_: HpkePrivateKey.generate() for id_ in self.ids}
        request = custody_pb2.RequestRecord(
            id=statements.request_id(GID, order.id, BENEFICIARY, salt), order=order.id, beneficiary=BENEFICIARY,
            key_digests=[statements.hpke_key_digest(key.public) for key in keys.values()],
            status=custody_pb2.REQUEST_STATUS_GRANTED,
        )  # fmt: skip
        principal = identity_pb2.IdentityRecord(id=PRINCIPAL, bls_key=self.bls.public_key)
        return _Order(prepared, Entrusted(order, self.vault, principal, prepared.envelope_block), request, keys)

    def release(self, order: _Order, fiduciary: bytes) -> bytes:
        """One fiduciary's answer."""
        key = order.keys[fiduciary].public
        return self.custodian.release(self.contexts[fiduciary], order.entrusted, order.request, key)

    def recover(self, order: _Order, answers: dict[bytes, bytes]) -> Recovered:
        """What the beneficiary makes of ``answers``."""
        return self.custodian.recover(
            RecoverInput(
                gid=GID, order=order.entrusted.order, vault=self.vault, request=order.request,
                principal=order.entrusted.principal, envelope_block=order.entrusted.envelope_block, answers=answers,
                keys=order.keys,
            )
        )  # fmt: skip


def the_same_vault_has_the_same_key_and_another_has_another(bench: Bench) -> None:
    context = bench.contexts[bench.ids[0]]
    assert hpke.valid_key(bench.vault_keys[bench.ids[0]]), "the vault's key is malformed"
    assert bench.custodian.vault_key(context, bench.vault) == bench.vault_keys[bench.ids[0]], "made twice"
    other = custody_pb2.VaultRecord()
    other.CopyFrom(bench.vault)
    other.id = b"\x56" * limits.ID_BYTES
    assert bench.custodian.vault_key(context, other) != bench.vault_keys[bench.ids[0]], "one key for two vaults"


def everyone_accepts_and_any_threshold_gives_the_secret_back(bench: Bench) -> None:
    order = bench.place(threshold=3)
    assert order.prepared.message.custodian == bench.vault.custodian, "the message names another custodian"
    for id_ in bench.ids:
        bench.custodian.accept(bench.contexts[id_], order.entrusted)
    for absent in bench.ids:
        answers = {id_: bench.release(order, id_) for id_ in bench.ids if id_ != absent}
        recovered = bench.recover(order, answers)
        assert recovered.secret == SECRET, "another secret came out"
        assert recovered.bad_fiduciaries == [], "a good answer is called bad"


def an_answer_is_what_the_ledger_would_check(bench: Bench) -> None:
    order = bench.place()
    record = order.entrusted.order
    bound = statements.order_context(
        GID, record.vault, record.principal, record.salt, statements.policy_hash(record.policy, record.rule)
    )
    for index, id_ in enumerate(bench.ids, start=1):
        sealed = bench.release(order, id_)
        assert len(sealed) == hpke.SEALED_OVERHEAD_BYTES + bench.contribution_bytes, "not of contribution_bytes"
        commitment = record.share_commitments[index - 1]
        info = statements.answer_seal_info(GID, order.request.id, id_, index, commitment)
        share = order.keys[id_].open(info, sealed).reveal()
        assert statements.share_commitment(bound, index, share) == commitment, "ReportShare would prove it bad"


def bad_answers_are_named_and_do_no_harm(bench: Bench) -> None:
    order = bench.place(threshold=3)
    answers = {id_: bench.release(order, id_) for id_ in bench.ids}
    answers[bench.ids[1]] = answers[bench.ids[1]][:-1] + bytes([answers[bench.ids[1]][-1] ^ 1])
    recovered = bench.recover(order, answers)
    assert recovered.secret == SECRET, "another secret came out"
    assert recovered.bad_fiduciaries == [bench.ids[1]], "the bad one is not named, or a good one is"


def too_few_good_answers_are_an_error_with_figures(bench: Bench) -> None:
    order = bench.place(threshold=3)
    answers = {id_: bench.release(order, id_) for id_ in bench.ids[:3]}
    answers[bench.ids[0]] = bytes(len(answers[bench.ids[0]]))
    caught: NotEnoughShares | None = None
    try:
        bench.recover(order, answers)
    except NotEnoughShares as error:
        caught = error
    assert caught is not None, "two good answers gave a secret that needs three"
    assert caught.data["good"] == 2, "the good answers are miscounted"
    assert caught.bad_fiduciaries == [bench.ids[0]], "the bad one is not named"


def what_another_principal_sealed_is_refused(bench: Bench) -> None:
    order = bench.place()
    stranger = identity_pb2.IdentityRecord(id=PRINCIPAL, bls_key=BlsPrivateKey.generate().public_key)
    forged = Entrusted(order.entrusted.order, bench.vault, stranger, order.entrusted.envelope_block)
    _must_reject(bench, forged, "an envelope that the order's principal did not sign")


def an_envelope_is_good_for_its_own_order_only(bench: Bench) -> None:
    order, other = bench.place(), bench.place(salt=b"\x67" * limits.NONCE_BYTES)
    record = custody_pb2.OrderRecord()
    record.CopyFrom(other.entrusted.order)
    record.envelope_cid = order.entrusted.order.envelope_cid
    swapped = Entrusted(record, bench.vault, order.entrusted.principal, order.entrusted.envelope_block)
    _must_reject(bench, swapped, "another order's envelope")


def many_orders_at_once_are_answered_as_each_alone(bench: Bench) -> None:
    good, other = bench.place(), bench.place(salt=b"\x67" * limits.NONCE_BYTES)
    swapped = custody_pb2.OrderRecord()
    swapped.CopyFrom(other.entrusted.order)
    swapped.envelope_cid = good.entrusted.order.envelope_cid
    principal, vault = good.entrusted.principal, bench.vault
    stranger = identity_pb2.IdentityRecord(id=PRINCIPAL, bls_key=BlsPrivateKey.generate().public_key)
    given = [
        good.entrusted,
        Entrusted(good.entrusted.order, vault, stranger, good.entrusted.envelope_block),
        other.entrusted,
        Entrusted(swapped, vault, principal, good.entrusted.envelope_block),
        Entrusted(other.entrusted.order, vault, principal, good.entrusted.envelope_block),
        good.entrusted,
    ]
    context = bench.contexts[bench.ids[0]]
    alone = [_outcome(accept_all(bench.custodian, context, [one])[0]) for one in given]
    together = [_outcome(one) for one in accept_all(bench.custodian, context, given)]
    assert [alone[place] for place in (0, 2, 5)] == [None] * 3, "a good order is refused"
    assert all(alone[place] for place in (1, 3, 4)), "a bad order is accepted"
    assert together == alone, "another answer together than alone"
    for many in ([], given[1:2], given[:1]):
        assert len(accept_all(bench.custodian, context, many)) == len(many)
    if isinstance(bench.custodian, AcceptsMany):
        said = [_outcome(one) for one in bench.custodian.accept_many(context, given)]
        assert said == alone, "accept_many answers otherwise than accept"
        assert list(bench.custodian.accept_many(context, [])) == [], "accept_many of no orders gives answers"


def _outcome(error: Exception | None) -> tuple[object, ...] | None:
    """What tells two answers apart."""
    if isinstance(error, OrderRejected):
        return OrderRejected, error.rejection, error.detail, error.reason
    return None if error is None else (type(error), str(error))


def an_erased_vault_releases_nothing(bench: Bench) -> None:
    order = bench.place()
    for _ in range(2):  # again is harmless
        bench.custodian.erase(bench.contexts[bench.ids[0]], bench.vault)
    try:
        bench.release(order, bench.ids[0])
    except Exception:
        bench.release(order, bench.ids[1])
        return
    raise AssertionError("a share came out of a vault that was erased")


def _must_reject(bench: Bench, entrusted: Entrusted, what: str) -> None:
    try:
        bench.custodian.accept(bench.contexts[bench.ids[0]], entrusted)
    except OrderRejected:
        return
    raise AssertionError(f"{what} was accepted")


def what_people_are_told_is_one_line(bench: Bench) -> None:
    said = bench.custodian.caveat
    assert said == "" or (said.isprintable() and said == said.strip()), "the caveat is not one line of text"


CHECKS: Sequence[Callable[[Bench], None]] = (
    the_same_vault_has_the_same_key_and_another_has_another,
    everyone_accepts_and_any_threshold_gives_the_secret_back,
    an_answer_is_what_the_ledger_would_check,
    bad_answers_are_named_and_do_no_harm,
    too_few_good_answers_are_an_error_with_figures,
    what_another_principal_sealed_is_refused,
    an_envelope_is_good_for_its_own_order_only,
    many_orders_at_once_are_answered_as_each_alone,
    an_erased_vault_releases_nothing,
    what_people_are_told_is_one_line,
)
