"""Many orders put before a custodian at once: each gets the answer that it would get alone."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hooks_harness import World
from test_custody_hsm_realm_refusals import (
    Given,
    another_context,
    another_principal,
    another_sender,
    another_sequence,
    another_share,
    another_type,
    given,
    no_scalar,
    other_vault,
    vault_of_another,
)

from abci_app import canonical
from abci_app.cid import cid_of
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, identity_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import IDENTITIES, VAULTS
from dta.base.secret import SecretBytes
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.hpke import HpkePrivateKey
from dta.custodians.accepting import accept_all
from dta.custodians.plugin import AcceptsMany, CustodyContext, Entrusted, OrderRejected
from dta.custodians.registry import CustodianMissing, Loaded
from dta.envelope import Draft, sign
from dta.hsm import labels
from dta.hsm.errors import KeyMissing, KeystoreError
from dta.node.agent.jobs import perform, perform_orders
from dta.node.agent.state import StateUnavailable
from dta.node.hooks.errors import NotAtHead, NotDue, Retry
from dta.node.hooks.plan import Job
from tests.support.patience import PATIENCE_S

__all__ = ["given"]  # a fixture


def said(outcome: object) -> tuple[object, ...] | None:
    """What tells two answers apart."""
    if isinstance(outcome, OrderRejected):
        return OrderRejected, outcome.rejection, outcome.detail, outcome.reason
    return None if outcome is None else (type(outcome), str(outcome))


def accepted(world: World, context: CustodyContext, one: Entrusted) -> Exception | None:
    try:
        world.custodian.accept(context, one)
    except Exception as error:
        return error
    return None


def together(world: World, context: CustodyContext, many: Sequence[Entrusted]) -> list[tuple[object, ...] | None]:
    assert isinstance(world.custodian, AcceptsMany)
    return [said(one) for one in world.custodian.accept_many(context, many)]


# --- what can be wrong with an order ----------------------------------------------------------------------------------
def nothing(given: Given) -> None:
    pass


def another_block(given: Given) -> None:
    given.block = given.block + b"\0"


def no_envelope(given: Given) -> None:
    given.block = b"not an envelope"
    given.order.envelope_cid = cid_of(given.block)


def another_signer(given: Given) -> None:
    """Signed under the principal's name by the beneficiary."""
    envelope = envelope_pb2.Envelope.FromString(given.block)
    id_ = given.world.principal.identity
    given.block = sign(Draft(envelope.header, envelope.body), given.world.chain.gid, {id_: BlsPrivateKey.generate()})
    given.order.envelope_cid = cid_of(given.block)


def two_signers(given: Given) -> None:
    """The principal and another one, both rightly."""
    envelope, world = envelope_pb2.Envelope.FromString(given.block), given.world
    keys = {one.identity: one.bls_key for one in (world.principal, world.beneficiary)}
    given.block = sign(Draft(envelope.header, envelope.body), world.chain.gid, keys)
    given.order.envelope_cid = cid_of(given.block)


def signature_of(make: Callable[[bytes], bytes]) -> Callable[[Given], None]:
    def spoil(given: Given) -> None:
        envelope = envelope_pb2.Envelope.FromString(given.block)
        envelope.signature = make(envelope.signature)
        given.block = canonical.encode(envelope)
        given.order.envelope_cid = cid_of(given.block)

    return spoil


def rotated_key(given: Given) -> None:
    given.principal.bls_key = BlsPrivateKey.generate().public_key


def malformed_key(given: Given) -> None:
    given.principal.bls_key = bytes(48)


def identity_key(given: Given) -> None:
    given.principal.bls_key = b"\xc0" + bytes(47)


def left_out(given: Given) -> None:
    header = given.header()
    del header.recipients[0]
    given.name(header)


def others_key(given: Given) -> None:
    header = given.header()
    header.recipients[0].key_digest = bytes(32)
    given.name(header)


def changed_seal(given: Given) -> None:
    header = given.header()
    sealed = header.recipients[0].sealed
    header.recipients[0].sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    given.name(header)


def another_vaults_key(given: Given) -> None:
    """One that this fiduciary has none for: the keystore says so, which is no rejection."""
    given.order.vault = given.vault.id = bytes(32)
    bound = given.header()
    bound.context = statements.order_context(
        given.world.chain.gid, given.order.vault, given.order.principal, given.order.salt,
        statements.policy_hash(given.order.policy, given.order.rule),
    )  # fmt: skip
    given.name(bound)


def no_commitments(given: Given) -> None:
    """The ledger has no such order: what a custodian makes of it is its own fault, and nobody else's."""
    del given.order.share_commitments[:]


SPOILS = [
    nothing, other_vault, vault_of_another, another_principal, another_block, no_envelope, another_signer, two_signers,
    signature_of(lambda _: b"\xc0" + bytes(95)), signature_of(lambda _: bytes(96)),
    signature_of(lambda good: good[:-1] + bytes([good[-1] ^ 1])), rotated_key, malformed_key, identity_key,
    another_type, another_sender, another_context, another_sequence, left_out, others_key, changed_seal, no_scalar,
    another_share, another_vaults_key, no_commitments,
]  # fmt: skip


def copies(given: Given) -> list[Given]:
    """The order as it is, once for every fault."""
    made = []
    for _ in SPOILS:
        order, vault, principal = custody_pb2.OrderRecord(), custody_pb2.VaultRecord(), identity_pb2.IdentityRecord()
        order.CopyFrom(given.order)
        vault.CopyFrom(given.vault)
        principal.CopyFrom(given.principal)
        made.append(replace(given, order=order, vault=vault, principal=principal))
    return made


@pytest.fixture
def spoilt(given: Given) -> list[Entrusted]:
    made = copies(given)
    for one, spoil in zip(made, SPOILS, strict=True):
        spoil(one)
    return [one.entrusted() for one in made]


def test_each_is_rejected_for_the_very_reason_that_it_has_alone(given: Given, spoilt: list[Entrusted]) -> None:
    world, context = given.world, given.context
    alone = [said(accepted(world, context, one)) for one in spoilt]
    assert alone[0] is None
    assert all(alone[1:])
    reasons = {one[3] for one in alone if one is not None and one[0] is OrderRejected}
    assert reasons == {
        "belong", "other-block", "refused", "signature", "type", "context", "not-a-recipient", "recipients",
        "other-key", "seal", "scalar", "commitment",
    }  # fmt: skip
    assert {one[0] for one in alone if one is not None} == {OrderRejected, KeyMissing, IndexError}
    assert together(world, context, spoilt) == alone


@pytest.mark.parametrize("seed", range(3))
def test_company_and_sequence_change_no_answer(given: Given, spoilt: list[Entrusted], seed: int) -> None:
    world, context = given.world, given.context
    mixed = spoilt + [spoilt[0]] * 8
    random.Random(seed).shuffle(mixed)
    mixed = mixed[: 3 + 10 * seed]
    assert together(world, context, mixed) == [said(accepted(world, context, one)) for one in mixed]


# --- the keystore -----------------------------------------------------------------------------------------------------
@dataclass
class Counted:
    """A keystore that counts, and fails when it is told to."""

    inner: object
    calls: list[str] = field(default_factory=list)
    failing: bool = False

    def prf(self, label: str, data: bytes) -> SecretBytes:
        self.calls.append(label)
        if self.failing:
            raise KeystoreError("the token is away")
        return self.inner.prf(label, data)  # type: ignore[attr-defined, no-any-return]

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_a_vaults_key_is_derived_once_a_call_and_again_in_the_next(given: Given) -> None:
    world = given.world
    counted = Counted(given.context.keystore)
    context = replace(given.context, keystore=counted)  # type: ignore[arg-type]
    assert together(world, context, [given.entrusted()] * 5) == [None] * 5
    assert counted.calls == [labels.vault(world.chain.gid, world.vault)]
    assert together(world, context, [given.entrusted()] * 2) == [None] * 2
    assert len(counted.calls) == 2


def test_a_token_that_is_away_is_each_ones_keystore_error_but_for_those_that_are_rejected(
    given: Given, spoilt: list[Entrusted]
) -> None:
    counted = Counted(given.context.keystore, failing=True)
    context = replace(given.context, keystore=counted)  # type: ignore[arg-type]
    alone = [said(accepted(given.world, context, one)) for one in spoilt]
    asked = len(counted.calls)
    assert together(given.world, context, spoilt) == alone
    assert alone[0] == (KeystoreError, "the token is away")
    assert len(counted.calls) - asked == 2  # two vaults


# --- plugins ----------------------------------------------------------------------------------------------------------
class SeenKey(HpkePrivateKey):
    """A vault's key of which is known whether anything has it still."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("asked", ["accept_many", "accept_all", "one"])
def test_a_vaults_key_is_gone_when_the_call_is_whatever_went_wrong(
    given: Given, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """The answers that are errors do not keep it, nor do cycles through them."""
    keys: list[weakref.ref[HpkePrivateKey]] = []

    def from_seed(seed: SecretBytes) -> HpkePrivateKey:
        keys.append(weakref.ref(found := SeenKey(seed)))
        return found

    good, no_key, sealed_wrongly, committed_wrongly = copies(given)[:4]
    another_vaults_key(no_key)
    changed_seal(sealed_wrongly)
    another_share(committed_wrongly)
    many = [one.entrusted() for one in (good, no_key, sealed_wrongly, committed_wrongly)]
    monkeypatch.setattr(HpkePrivateKey, "from_seed", from_seed)
    gc.disable()
    try:
        if asked == "one":
            kept = [error for one in many for error in accept_all(given.world.custodian, given.context, [one])]
        elif asked == "accept_all":
            kept = accept_all(given.world.custodian, given.context, many)
        else:
            assert isinstance(given.world.custodian, AcceptsMany)
            kept = given.world.custodian.accept_many(given.context, many)
        assert [type(one) for one in kept] == [type(None), KeyMissing, OrderRejected, OrderRejected]
        assert keys
        assert [one() for one in keys] == [None] * len(keys)
    finally:
        gc.enable()


@dataclass
class Slow(Counted):
    """Answers for one key only when it is told to."""

    slow_label: str = ""
    is_waiting: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)

    def prf(self, label: str, data: bytes) -> SecretBytes:
        if label == self.slow_label:
            self.is_waiting.set()
            assert self.goes_on.wait(PATIENCE_S)
        return super().prf(label, data)


@pytest.mark.parametrize("asked", ["accept_many", "one_by_one"])
def test_a_vault_is_erased_while_anothers_key_is_waited_for_and_its_key_is_held_no_more(
    given: Given, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    world = given.world
    good, sealed_wrongly, committed_wrongly = copies(given)[:3]
    changed_seal(sealed_wrongly)
    another_share(committed_wrongly)
    world.open_vault(nonce=bytes([1]) * 32)
    order = world.order(world.place(world.prepare(salt=bytes([9]) * 32)))
    vault, block = VAULTS.get(world.chain.view, order.vault), world.blocks[order.envelope_cid]
    other = replace(given, order=order, vault=vault, block=block)
    first, second = (labels.vault(world.chain.gid, one.vault.id) for one in (given, other))
    keys: list[weakref.ref[HpkePrivateKey]] = []

    def from_seed(seed: SecretBytes) -> HpkePrivateKey:
        keys.append(weakref.ref(found := SeenKey(seed)))
        return found

    monkeypatch.setattr(HpkePrivateKey, "from_seed", from_seed)
    slow = Slow(given.context.keystore, slow_label=second)
    context = replace(given.context, keystore=slow)  # type: ignore[arg-type]
    custodian, mixed = cast(Any, world.custodian), [good, other, sealed_wrongly, good, other, committed_wrongly]
    if asked == "one_by_one":
        custodian = SimpleNamespace(accept=custodian.accept)
        mixed = [good, sealed_wrongly, committed_wrongly, good, other, other]
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as executor:
            answers = executor.submit(accept_all, custodian, context, [one.entrusted() for one in mixed])
            assert slow.is_waiting.wait(PATIENCE_S)
            world.custodian.erase(given.context, given.vault)
            held = [key() for key in keys]
            slow.goes_on.set()
            outcomes = answers.result(PATIENCE_S)
    finally:
        slow.goes_on.set()
        gc.enable()
    assert held == [None] * len(held) != []
    right = (good, other)
    assert [type(one) for one in outcomes] == [type(None) if one in right else OrderRejected for one in mixed]
    if asked == "accept_many":
        assert slow.calls == [first, second], "each vault's once"


class Plain:
    """Accepts what has an even salt; has no way to accept many."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def accept(self, context: CustodyContext, entrusted: Entrusted) -> None:
        self.asked.append(entrusted.order.salt)
        if entrusted.order.salt == b"bug":
            raise ZeroDivisionError
        if entrusted.order.salt == b"no":
            raise OrderRejected(custody_pb2.REJECTION_CUSTODIAN_REFUSED)


class Raises(Plain):
    def accept_many(self, context: CustodyContext, entrusted: Sequence[Entrusted]) -> list[Exception | None]:
        raise RuntimeError


class Miscounts(Plain):
    def accept_many(self, context: CustodyContext, entrusted: Sequence[Entrusted]) -> list[Exception | None]:
        return [None]


class Many(Plain):
    def accept_many(self, context: CustodyContext, entrusted: Sequence[Entrusted]) -> list[Exception | None]:
        return [ValueError(str(place)) for place, _ in enumerate(entrusted)]


def order_of(salt: bytes) -> Entrusted:
    return Entrusted(custody_pb2.OrderRecord(salt=salt), custody_pb2.VaultRecord(), identity_pb2.IdentityRecord(), b"")


@pytest.mark.parametrize("plugin", [Plain, Raises, Miscounts])
def test_a_plugin_that_fails_at_many_is_asked_one_by_one_and_a_fault_spoils_no_other(plugin: type[Plain]) -> None:
    custodian = plugin()
    context = CustodyContext(b"", b"", None)  # type: ignore[arg-type]
    salts = [b"yes", b"bug", b"no", b"yes"]
    outcomes = accept_all(custodian, context, [order_of(salt) for salt in salts])  # type: ignore[arg-type]
    assert [type(one) for one in outcomes] == [type(None), ZeroDivisionError, OrderRejected, type(None)]
    assert custodian.asked == salts


def test_many_go_to_a_plugin_together_and_one_alone() -> None:
    custodian, context = Many(), CustodyContext(b"", b"", None)  # type: ignore[arg-type]
    outcomes = accept_all(custodian, context, [order_of(b"yes")] * 3)  # type: ignore[arg-type]
    assert ([str(one) for one in outcomes], custodian.asked) == (["0", "1", "2"], [])
    assert accept_all(custodian, context, [order_of(b"yes")]) == [None]  # type: ignore[arg-type]
    assert accept_all(custodian, context, []) == []  # type: ignore[arg-type]
    assert custodian.asked == [b"yes"]


# --- jobs -------------------------------------------------------------------------------------------------------------
@dataclass
class Placed:
    world: World
    jobs: list[Job]
    blocks: dict[str, bytes]

    def answers(self, jobs: Sequence[Job] | None = None, **changes: object) -> list[object]:
        """Of the jobs done together; exceptions by their type and text."""
        tools = replace(self.world.tools[self.world.chain.founders[0].identity], **changes)  # type: ignore[arg-type]
        made = perform_orders(self.jobs if jobs is None else jobs, tools, self.blocks)
        return [_shown(made[job]) for job in (self.jobs if jobs is None else jobs)]

    def alone(self, **changes: object) -> list[object]:
        tools = replace(self.world.tools[self.world.chain.founders[0].identity], **changes)  # type: ignore[arg-type]
        found: list[object] = []
        for job in self.jobs:
            try:
                found.append(_shown(perform(job, tools, self.blocks)))
            except Exception as error:
                found.append(_shown(error))
        return found


def _shown(made: object) -> object:
    return (type(made), str(made)) if isinstance(made, Exception) else made


@pytest.fixture
def placed(given: Given) -> Placed:
    """Orders that are well, signed by another, sealed to another key, without a block, unknown, and another kind's."""
    world = given.world
    keys = {one.identity: HpkePrivateKey.generate().public for one in world.chain.founders}
    orders = [given.order.id]
    for number, changes in enumerate(({}, {"bls": world.beneficiary.bls_key}, {"keys": keys}, {}), start=1):
        orders.append(world.place(world.prepare(salt=bytes([number]) * 32, **changes)))
    jobs = [Job(DueKind.FULFIL_ORDER, order) for order in [*orders, b"\x77" * 32]]
    blocks = dict(world.blocks)
    del blocks[world.order(orders[4]).envelope_cid]
    return Placed(world, jobs, blocks)


def test_jobs_done_together_answer_as_each_alone_and_read_state_once(placed: Placed) -> None:
    pins = placed.world.pins
    together = placed.answers()
    assert placed.world.pins == pins + 1
    orders = [job.subject for job in placed.jobs]
    assert together[:4] == [
        tx_pb2.FulfilOrder(order=orders[0]), tx_pb2.FulfilOrder(order=orders[1]),
        tx_pb2.RejectOrder(order=orders[2], rejection=custody_pb2.REJECTION_ENVELOPE_SIGNATURE),
        tx_pb2.RejectOrder(order=orders[3], rejection=custody_pb2.REJECTION_SHARE_UNREADABLE),
    ]  # fmt: skip
    assert [one[0] for one in together[4:] if isinstance(one, tuple)] == [NotDue, NotDue]
    assert together == placed.alone()


def test_what_is_not_owed_any_more_is_answered_by_nobody(placed: Placed) -> None:
    world = placed.world
    assert world.chain.run(world.principal, tx_pb2.CloseOrder(order=placed.jobs[0].subject)).code == 0
    together = placed.answers()
    assert isinstance(together[0], tuple)
    assert together[0][0] is NotDue
    assert together[1] == tx_pb2.FulfilOrder(order=placed.jobs[1].subject)
    assert together == placed.alone()


def test_without_state_keystore_or_custodian_each_has_the_error(placed: Placed) -> None:
    def no_state() -> object:
        raise StateUnavailable("gone")

    def no_keystore() -> object:
        raise Retry("no keystore")

    placed.world.at_head = False
    assert [one[0] for one in placed.answers() if isinstance(one, tuple)] == [NotAtHead] * 6
    placed.world.at_head = True
    assert [one[0] for one in placed.answers(pin=no_state) if isinstance(one, tuple)] == [StateUnavailable] * 6
    for changes, error in (
        ({"keystore": no_keystore}, Retry), ({"custodians": Loaded({}, {})}, CustodianMissing),
    ):  # fmt: skip
        together = placed.answers(**changes)
        assert [one[0] for one in together if isinstance(one, tuple)] == [error] * 4 + [NotDue] * 2
        assert together == placed.alone(**changes)


def test_records_that_orders_share_are_read_once(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    for table, name in ((VAULTS, "vault"), (IDENTITIES, "identity")):
        method = "find" if name == "vault" else "get"
        original = getattr(type(table), method)

        def noted(self: object, *arguments: object, original: Callable[..., object] = original) -> object:
            read.extend(["vault"] * (self is VAULTS) + ["identity"] * (self is IDENTITIES))
            return original(self, *arguments)

        monkeypatch.setattr(type(table), method, noted)
    assert len(placed.answers(placed.jobs[:4])) == 4
    assert read.count("vault") == 1
    assert read.count("identity") >= 1


def test_an_envelope_over_the_bound_is_rejected_without_the_custodian(placed: Placed) -> None:
    job = placed.jobs[0]
    cid = placed.world.order(job.subject).envelope_cid
    placed.blocks[cid] = bytes(1 + (1 << 20))
    made = placed.answers([job], custodians=Loaded({}, {}))
    assert made == [tx_pb2.RejectOrder(order=job.subject, rejection=custody_pb2.REJECTION_ENVELOPE_TOO_LARGE)]


def test_no_jobs_and_the_same_job_twice(placed: Placed, tmp_path: Path) -> None:
    assert placed.answers([]) == []
    job = placed.jobs[0]
    assert placed.answers([job, job]) == [tx_pb2.FulfilOrder(order=job.subject)] * 2
