"""What is due and what a job does: never early, never on old state, never after a veto."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NoReturn, cast

import pytest
from google.protobuf.message import Message
from hooks_harness import World, make_world

from abci_app import canonical
from abci_app.block import Changes
from abci_app.cid import cid_of
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.overlay import Overlay
from abci_app.state.records import ORDERS, REQUESTS
from abci_app.state.view import StateView
from dta.crypto.hpke import HpkePrivateKey
from dta.crypto.scalar import SecretScalar
from dta.custodians.hsm_realm import HsmRealm
from dta.custodians.plugin import CustodyContext, Entrusted
from dta.custodians.registry import CustodianMissing, Loaded
from dta.envelope import clear_envelope, sign
from dta.node.agent import jobs
from dta.node.agent.jobs import perform, reject_unavailable
from dta.node.agent.lookup import wanted_together
from dta.node.agent.state import StateUnavailable
from dta.node.hooks.errors import CannotAnswer, NotAtHead, NotDue, Obstacle, Retry
from dta.node.hooks.head import Head
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Pinned, Tools
from tests.support.actors import Actor
from tests.support.custody import single
from tests.support.refusals import fault_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    world.open_vault()
    return world


def windowed(world: World, seconds: int) -> bytes:
    """An active order whose releases wait ``seconds``."""
    policy = single(world.beneficiary.identity)
    policy.veto_window_s = seconds
    order = world.place(world.prepare(policy=policy))
    world.settle()
    return order


def veto(world: World, request: bytes) -> None:
    digest = REQUESTS.get(world.chain.view, request).content_digest
    message = tx_pb2.VetoRequest(request=request, content_digest=digest)
    assert world.chain.run(world.principal, message).code == 0


def release_job(world: World, founder: Actor) -> Job:
    return next(job for job in world.jobs(founder) if job.kind is DueKind.FULFIL_SECRET)


def test_the_plan_is_what_state_owes_by_kind_then_subject(world: World) -> None:
    founder = world.chain.founders[0]
    state = Overlay(world.chain.view)
    for kind, subject in ((DueKind.FULFIL_SECRET, b"\x02" * 32), (DueKind.FULFIL_ORDER, b"\x09" * 32),
                          (DueKind.FULFIL_ORDER, b"\x01" * 32)):  # fmt: skip
        due.add(state, founder.identity, kind, subject)
    due.add(state, world.chain.founders[1].identity, DueKind.FULFIL_ORDER, b"\x07" * 32)
    assert plan(state, founder.identity, 0, 1) == [
        Job(DueKind.FULFIL_ORDER, b"\x01" * 32),
        Job(DueKind.FULFIL_ORDER, b"\x09" * 32),
        Job(DueKind.FULFIL_SECRET, b"\x02" * 32),
    ]


@pytest.mark.parametrize(("time_s", "height", "is_due"), [(99, 10, False), (100, 9, False), (100, 10, True)])
def test_nothing_is_planned_before_both_its_time_and_its_height(
    world: World, time_s: int, height: int, is_due: bool
) -> None:
    founder = world.chain.founders[0].identity
    state = Overlay(world.chain.view)
    due.add(state, founder, DueKind.FULFIL_SECRET, bytes(32), from_time_s=100, from_height=10)
    assert (plan(state, founder, time_s, height) != []) is is_due


def test_what_is_planned_can_no_longer_be_vetoed(world: World) -> None:
    request = world.request(windowed(world, 60))
    founder = world.chain.founders[0]
    for _ in range(10):
        if world.jobs(founder):
            break
        world.chain.block(seconds=15)
    assert world.jobs(founder), "the window never ended"
    digest = REQUESTS.get(world.chain.view, request).content_digest
    late = world.chain.run(world.principal, tx_pb2.VetoRequest(request=request, content_digest=digest))
    assert late.code != 0
    world.settle()


def test_a_veto_between_plan_and_seal_releases_nothing(world: World) -> None:
    request = world.request(windowed(world, 60))
    founder = world.chain.founders[0]
    # A state that lags: the job was planned from one in which nobody had vetoed.
    early = Overlay(world.chain.view)
    due.add(early, founder.identity, DueKind.FULFIL_SECRET, request)
    (job,) = plan(early, founder.identity, world.chain.time_s, world.chain.height + 1)
    veto(world, request)
    with pytest.raises(NotDue):
        world.answer(founder, job)


def test_state_is_read_again_right_before_the_seal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    founder = world.chain.founders[0]
    job = release_job(world, founder)
    released: list[bytes] = []
    monkeypatch.setattr(type(world.custodian), "release", lambda *_: released.append(b"share"))
    first = world.pins + 1

    def end_the_request(pins: int) -> None:
        if pins == first:  # after all that was looked at before
            world.chain.block(seconds=10_000_000)

    world.before_pin = end_the_request
    with pytest.raises(NotDue):
        world.answer(founder, job)
    assert released == []
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_EXPIRED


def test_a_node_that_is_cut_off_seals_nothing(world: World) -> None:
    order = world.place()
    world.settle()
    world.request(order)
    founder = world.chain.founders[0]
    job = release_job(world, founder)
    first = world.pins + 1
    world.before_pin = lambda pins: setattr(world, "at_head", pins < first)
    with pytest.raises(NotAtHead):
        world.answer(founder, job)


def test_a_deadline_that_the_sweep_has_not_recorded_yet_counts(world: World) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    founder = world.chain.founders[0]
    job = release_job(world, founder)
    deadline_s = REQUESTS.get(world.chain.view, request).deadline_time_s
    blocks = {cid: world.blocks[cid] for cid in (world.order(order).envelope_cid, _keys_cid(world, request))}

    class Late:
        def __enter__(self) -> Pinned:
            return replace(world.now, time_s=deadline_s)

        def __exit__(self, *_: object) -> None:
            pass

    tools = replace(world.tools[founder.identity], pin=Late)
    with pytest.raises(NotDue):
        perform(job, tools, blocks)


def _keys_cid(world: World, request: bytes) -> str:
    return REQUESTS.get(world.chain.view, request).keys_cid


def _other_keys(world: World, request: bytes, order: bytes) -> bytes:
    keys = [HpkePrivateKey.generate().public for _ in world.order(order).fiduciaries]
    return _keys_block(world, custody_pb2.RequestKeys(request=request, keys=keys))


def _too_few_keys(world: World, request: bytes, order: bytes) -> bytes:
    return _keys_block(world, custody_pb2.RequestKeys(request=request, keys=[HpkePrivateKey.generate().public]))


def _keys_block(world: World, body: custody_pb2.RequestKeys) -> bytes:
    draft = clear_envelope(
        envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS, sender=world.beneficiary.identity, time_s=1,
        body=canonical.encode(body),
    )  # fmt: skip
    return sign(draft, world.chain.gid, {world.beneficiary.identity: world.beneficiary.bls_key})


def _order_envelope(world: World, request: bytes, order: bytes) -> bytes:
    return world.blocks[world.order(order).envelope_cid]


def _noise(world: World, request: bytes, order: bytes) -> bytes:
    return b"noise"


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (_other_keys, Obstacle.OTHER_KEY), (_too_few_keys, Obstacle.KEYS_COUNT), (_order_envelope, Obstacle.KEYS_TYPE),
        (_noise, Obstacle.KEYS_FORM),
    ],
)  # fmt: skip
def test_keys_that_are_not_the_requests_get_no_answer(
    world: World, make: Callable[[World, bytes, bytes], bytes], fault: Obstacle
) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    founder = world.chain.founders[0]
    block = make(world, request, order)
    world.blocks[_keys_cid(world, request)] = block
    assert fault_of(lambda: world.answer(founder, release_job(world, founder)), CannotAnswer) is fault


def test_a_key_that_is_none_gets_no_answer_though_the_request_names_it(world: World) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    founder = world.chain.founders[0]
    keys = [HpkePrivateKey.generate().public for _ in world.order(order).fiduciaries]
    keys[0].ClearField("x25519")
    record = REQUESTS.get(world.chain.view, request)
    record.key_digests[0] = statements.hpke_key_digest(keys[0])
    leaf = (REQUESTS.key(request), record.SerializeToString(deterministic=True))
    world.chain.view.apply(Changes(leaves=(leaf,)))
    world.blocks[record.keys_cid] = _keys_block(world, custody_pb2.RequestKeys(request=request, keys=keys))
    made = fault_of(lambda: world.answer(founder, release_job(world, founder)), CannotAnswer)
    assert made is Obstacle.KEY_FORM


def test_a_share_that_the_custodian_does_not_find_is_not_released(world: World) -> None:
    order, other = world.place(), world.place(world.prepare(salt=b"\1" * 32))
    world.settle()
    world.request(order)
    founder = world.chain.founders[0]
    world.blocks[world.order(order).envelope_cid] = world.blocks[world.order(other).envelope_cid]
    made = fault_of(lambda: world.answer(founder, release_job(world, founder)), CannotAnswer)
    assert made is Obstacle.NOT_RELEASABLE


def test_an_answer_goes_to_the_key_that_the_ledger_names_for_us(world: World) -> None:
    order = world.place()
    world.settle()
    request = world.request(order)
    for number, founder in enumerate(world.chain.founders, start=1):
        message = world.answer(founder, release_job(world, founder))
        assert isinstance(message, tx_pb2.FulfilSecret)
        commitment = world.order(order).share_commitments[number - 1]
        info = statements.answer_seal_info(world.chain.gid, request, founder.identity, number, commitment)
        assert len(world.keys[request][founder.identity].open(info, message.sealed)) == 32


def test_a_vault_with_open_orders_is_never_erased(world: World) -> None:
    world.place()
    founder = world.chain.founders[0]
    state = Overlay(world.chain.view)
    due.add(state, founder.identity, DueKind.ERASE_VAULT, world.vault)

    class Broken:
        def __enter__(self) -> Pinned:
            return Pinned(state, world.chain.height, world.chain.time_s, state)

        def __exit__(self, *_: object) -> None:
            pass

    tools = replace(world.tools[founder.identity], pin=Broken)
    erase = Job(DueKind.ERASE_VAULT, world.vault)
    assert fault_of(lambda: perform(erase, tools, {}), CannotAnswer) is Obstacle.VAULT_IN_USE
    assert any(label.startswith("vault-") for label in world.keystores[founder.identity].labels())


def test_an_order_whose_envelope_nobody_has_is_rejected_only_after_a_while(world: World) -> None:
    order = world.place(upload=False)
    job = Job(DueKind.FULFIL_ORDER, order)
    assert reject_unavailable(job, world.now, 100) is None
    world.chain.block(seconds=100)
    message = reject_unavailable(job, world.now, 100)
    assert message == tx_pb2.RejectOrder(order=order, rejection=custody_pb2.REJECTION_ENVELOPE_UNAVAILABLE)


def test_a_custodian_that_is_not_installed_is_a_matter_of_waiting(world: World) -> None:
    order = world.place()
    founder = world.chain.founders[0]
    tools = replace(world.tools[founder.identity], custodians=Loaded({}, {"hsm-realm": "it does not load"}))
    block = world.blocks[world.order(order).envelope_cid]
    with pytest.raises(CustodianMissing) as caught:
        perform(Job(DueKind.FULFIL_ORDER, order), tools, {cid_of(block): block})
    assert caught.value.data == {"custodian": "hsm-realm", "reason": "it does not load"}


class Clocks:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.monotonic_s = 5.0


@pytest.mark.parametrize(
    ("catching_up", "block_time_s", "silent_s", "acts"),
    [(False, 999_990, 1, True), (True, 999_990, 1, False), (False, 999_900, 1, False), (False, 1_000_100, 1, False),
     (False, 999_990, 60, False), (None, 999_990, 1, False)],
)  # fmt: skip
def test_only_a_node_at_the_head_acts(catching_up: bool | None, block_time_s: int, silent_s: float, acts: bool) -> None:
    clocks = Clocks()
    head = Head(60, lambda: clocks.now_s, lambda: clocks.monotonic_s)
    if catching_up is not None:
        head.note(catching_up)
    clocks.monotonic_s += silent_s
    if acts:
        head.require(block_time_s)
    else:
        with pytest.raises(Retry):
            head.require(block_time_s)


def test_a_share_is_opened_once_for_the_partials_of_one_call_and_an_error_is_no_share(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bytes, int]] = []
    wrong = [Retry("the token is busy")]

    def share_of(view: StateView, authority: bytes, epoch: int) -> SecretScalar:
        asked.append((authority, epoch))
        if wrong:
            raise wrong.pop()
        return SecretScalar(7)

    def answer(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
        tools.share_of(world.chain.view, job.subject[:1], 1)
        return tx_pb2.FulfilOrder(order=job.subject)

    monkeypatch.setitem(jobs._PERFORM, DueKind.SUBMIT_PARTIALS, answer)
    tools = replace(world.tools[world.chain.founders[0].identity], share_of=share_of)
    wanted = [Job(DueKind.SUBMIT_PARTIALS, subject) for subject in (b"a1", b"a2", b"a3", b"b1", b"a4")]
    found = jobs.perform_partials(wanted, tools)
    assert [type(one) for one in found] == [Retry, *[tx_pb2.FulfilOrder] * 4]
    assert asked == [(b"a", 1), (b"a", 1), (b"b", 1)]
    jobs.perform_partials(wanted[:1], tools)
    assert asked[3:] == [(b"a", 1)], "the next call opens it again"


class _Seen(SecretScalar):
    """A share of which is known whether anything has it still."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("kind", [Retry, StateUnavailable])
@pytest.mark.parametrize("where", ["one by one", "together"])
def test_an_error_keeps_no_share_that_was_opened_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], where: str
) -> None:
    """Not even until the cycles are collected that it is mostly part of."""
    shares: list[weakref.ref[SecretScalar]] = []
    trouble = kind("no answer in time")

    def share_of(view: StateView, authority: bytes, epoch: int) -> SecretScalar:
        share = _Seen(7)
        shares.append(weakref.ref(share))
        return share

    def answer(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
        share = tools.share_of(world.chain.view, b"a", 1)
        try:
            raise KeyError(share.reveal())
        except KeyError:
            if job.subject == b"good":
                return tx_pb2.FulfilOrder(order=job.subject)
            raise trouble from None

    monkeypatch.setitem(jobs._PERFORM, DueKind.SUBMIT_PARTIALS, answer)
    tools = replace(world.tools[world.chain.founders[0].identity], share_of=share_of)
    good, bad = Job(DueKind.SUBMIT_PARTIALS, b"good"), Job(DueKind.SUBMIT_PARTIALS, b"bad")
    kept: list[object] = []
    gc.disable()
    try:
        try:
            kept += [perform(bad, tools, {})] if where == "one by one" else jobs.perform_partials([good, bad], tools)
        except Exception as error:
            kept.append(error)
        assert kept[-1] is trouble
        assert shares
        assert [one() for one in shares] == [None] * len(shares)
    finally:
        gc.enable()


def test_state_that_can_not_be_read_is_everybody_s_trouble_and_is_asked_for_once(world: World) -> None:
    tools = world.tools[world.chain.founders[0].identity]
    wanted = [Job(DueKind.FULFIL_ORDER, bytes([number]) * 32) for number in range(5)]
    asked: list[bytes] = []

    class Silent:
        def index_get(self, key: bytes) -> NoReturn:
            asked.append(key)
            raise StateUnavailable("no answer in time")

    silent = cast(StateView, Silent())
    now = Pinned(silent, 1, 1, silent)
    with pytest.raises(StateUnavailable):
        jobs.owed_of(wanted, tools, now)
    with pytest.raises(StateUnavailable):
        wanted_together(wanted, replace(tools, pin=lambda: nullcontext(now)))
    assert len(asked) == 2


def test_an_order_is_parsed_once_for_what_looks_at_it_and_once_for_its_custodian(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = world.chain.founders[0]
    order = world.place()
    (job,) = world.jobs(actor)
    parsed: list[str] = []
    parse = ORDERS.record.FromString
    monkeypatch.setattr(ORDERS, "parse", lambda value: parsed.append("own") or parse(value))  # type: ignore[func-returns-value]
    shared = cache(lambda value: parsed.append("shared") or parse(value))  # type: ignore[func-returns-value]
    monkeypatch.setattr(ORDERS, "_shared", shared)
    tools = world.tools[actor.identity]
    (wanted,) = wanted_together([job], tools)
    assert not isinstance(wanted, Exception)
    assert perform(job, tools, {cid: world.blocks[cid] for cid in wanted.cids}) == tx_pb2.FulfilOrder(order=order)
    assert sorted(parsed) == ["own", "shared"]


def test_what_a_custodian_does_to_its_records_is_seen_by_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = world.chain.founders[0]
    order = world.place()
    accept, release = HsmRealm.accept, HsmRealm.release

    def accept_and_spoil(self: HsmRealm, context: CustodyContext, entrusted: Entrusted) -> None:
        accept(self, context, entrusted)
        entrusted.order.Clear()

    def release_and_spoil(self, context, entrusted, request, key):  # type: ignore[no-untyped-def]
        sealed = release(self, context, entrusted, request, key)
        entrusted.order.Clear()
        request.Clear()
        return sealed

    monkeypatch.setattr(HsmRealm, "accept", accept_and_spoil)
    monkeypatch.delattr(HsmRealm, "accept_many")
    monkeypatch.setattr(HsmRealm, "release", release_and_spoil)
    (job,) = world.jobs(actor)
    for _ in range(2):
        assert world.answer(actor, job) == tx_pb2.FulfilOrder(order=order)
    world.settle()
    request = world.request(order)
    (job,) = world.jobs(actor)
    for _ in range(2):
        answer = world.answer(actor, job)
        assert isinstance(answer, tx_pb2.FulfilSecret)
        assert answer.request == request
