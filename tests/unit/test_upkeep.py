"""What a block does besides its transactions: within one budget, item by item, and what fails fails by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import sweep
from abci_app.block import BlockResult
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import BlockScratch, Mark
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, tx_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state import records
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.records import EXTRACTIONS, ORDERS, PROPOSALS, REQUESTS, SET_ASIDE, VAULTS
from tests.sim.rebuild import differences
from tests.support import governance
from tests.support.actors import Actor
from tests.support.authority import message_of
from tests.support.chain import Chain
from tests.support.governance import pass_, propose, record, status, vote
from tests.support.refusals import Because, refused
from tests.support.upkeep import ENDS, IDS, RETRY, asked, failing, untouched
from tests.support.world import fresh_custody, nonce, only_consumed
from tests.unit.test_rotate_validator_key import new_key, rotation

# --- transactions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [(ZeroDivisionError, Because(Code.FAILED)), (partial(Refusal, Code.NOT_PROPOSER), Because(Code.NOT_PROPOSER))],
)
def test_a_transaction_that_fails_at_its_end_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], code: Because
) -> None:
    chain = Chain(4)
    founder = chain.founders[0]
    spec = SPECS["rotate_validator_key"]
    with monkeypatch.context() as patch:
        patch.setitem(SPECS, spec.field, replace(spec, execute=failing(spec.execute, lambda *_: True, error)))
        result = chain.block(chain.tx(founder, rotation(chain, founder, new_key(1))))
    refused(result.tx_results[0], *code)
    assert result.tx_results[0].events == ()
    assert result.validator_updates == (), "or CometBFT has validators that no state knows"
    assert only_consumed(result.changes, chain.height - 1 + 50)
    done = chain.block(chain.tx(founder, rotation(chain, founder, new_key(1))))
    assert len(done.validator_updates) == 2


def test_a_vote_that_fails_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(4)
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    vote(chain, chain.founders[1], proposal)
    spec = SPECS["vote"]
    with monkeypatch.context() as patch:
        patch.setitem(SPECS, "vote", replace(spec, execute=failing(spec.execute, lambda *_: True, ZeroDivisionError)))
        ballot = pb.Vote(proposal=proposal, content_digest=record(chain, proposal).content_digest)
        refused(chain.run(chain.founders[2], ballot), Code.FAILED)
    assert record(chain, proposal).counted_height == chain.height - 1
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_OPEN


def test_every_list_that_a_block_counts_in_loses_again_what_a_failed_transaction_added() -> None:
    counted = [one.name for one in fields(BlockScratch) if isinstance(getattr(BlockScratch(), one.name), list)]
    assert ["writes", "events", *counted] == list(Mark._fields)


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_in_a_transaction_too(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    chain = Chain(4)
    spec = SPECS["suspend_identity"]
    raising = replace(spec, execute=failing(spec.execute, lambda *_: True, error))
    monkeypatch.setitem(SPECS, spec.field, raising)
    with pytest.raises(type(error())):
        chain.run(chain.founders[0], tx_pb2.SuspendIdentity())


# --- deadlines ----------------------------------------------------------------------------------------------------


@dataclass
class Expiring:
    """Three records of one kind whose deadlines are ``seconds`` away, and what is refused once they have passed."""

    chain: Chain
    subjects: Sequence[bytes]
    records: Any
    seconds: int
    open_status: int
    actor: Actor
    message: Callable[[bytes], Message]
    code: Because
    blocks: int = 1
    key: SigningKey | None = None

    def pass_by(self) -> BlockResult:
        """The deadlines pass."""
        result = self.chain.block(seconds=self.seconds)
        for _ in range(self.blocks):
            result = self.chain.block()
        return result

    def statuses(self) -> list[bool]:
        """Which of them are recorded as open."""
        found = [self.records.get(self.chain.view, subject) for subject in self.subjects]
        return [one.status == self.open_status for one in found]


def orders() -> Expiring:
    custody = fresh_custody()
    at = custody.chain.time_s + 1_000
    made = [custody.place(nonce(n), expires_at_time_s=at) for n in range(3)]
    return Expiring(
        custody.chain, made, ORDERS, 1_000, custody_pb2.ORDER_STATUS_ACTIVE, custody.beneficiary,
        lambda order: custody.request_message(order), Because(Code.ORDER_NOT_OPEN, "order"),
    )  # fmt: skip


def requests() -> Expiring:
    custody = fresh_custody()
    made = [custody.request(custody.place(nonce(n))) for n in range(3)]

    def veto(request: bytes) -> Message:
        digest = custody.request_record(request).content_digest
        return tx_pb2.VetoRequest(request=request, content_digest=digest)

    ttl_s = records.params(custody.chain.view).request_ttl_s
    return Expiring(
        custody.chain, made, REQUESTS, ttl_s, custody_pb2.REQUEST_STATUS_GRANTED, custody.beneficiary, veto,
        Because(Code.DEADLINE_PASSED, "request"),
    )  # fmt: skip


def vaults() -> Expiring:
    custody = fresh_custody()
    chain, named = custody.chain, [founder.identity for founder in custody.chain.founders]
    opened = [
        chain.run(custody.principal, tx_pb2.OpenVault(nonce=nonce(n), custodian="hsm-realm", fiduciaries=named)).data
        for n in range(3)
    ]
    for vault in opened:
        assert chain.run(custody.principal, tx_pb2.CloseVault(vault=vault)).code == Code.OK
    params = records.params(chain.view)
    return Expiring(
        chain, opened, VAULTS, params.close_vault_delay_s, custody_pb2.VAULT_STATUS_CLOSING, custody.principal,
        lambda vault: tx_pb2.CancelCloseVault(vault=vault),
        Because(Code.VAULT_NOT_CLOSING), params.close_vault_delay_blocks,
    )  # fmt: skip


def open_proposals() -> Expiring:
    chain = Chain(4)
    made = [
        propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7 + n), n) for n in range(3)
    ]

    def ballot(proposal: bytes) -> Message:
        return pb.Vote(proposal=proposal, content_digest=record(chain, proposal).content_digest)

    ttl_s = records.params(chain.view).proposal_ttl_s
    return Expiring(
        chain, made, PROPOSALS, ttl_s, pb.PROPOSAL_STATUS_OPEN, chain.founders[1], ballot,
        Because(Code.DEADLINE_PASSED, "proposal"), 18
    )


def pending_extractions() -> Expiring:
    world = asked(3)
    member = world.chain.founders[0]

    def partials(request: bytes) -> Message:
        return message_of(world.chain.view, world.chain.gid, world.dealt, member, request)

    return Expiring(
        world.chain, world.made, EXTRACTIONS, 1_000, extraction_pb2.EXTRACTION_STATUS_PENDING, member, partials,
        Because(Code.DEADLINE_PASSED, "extraction"), key=member.node_key,
    )  # fmt: skip


EXPIRING = {
    DeadlineKind.ORDER: orders,
    DeadlineKind.REQUEST: requests,
    DeadlineKind.VAULT: vaults,
    DeadlineKind.PROPOSAL: open_proposals,
    DeadlineKind.EXTRACTION: pending_extractions,
}


def test_every_kind_of_deadline_is_tested_here() -> None:
    assert list(EXPIRING) == list(DeadlineKind) == list(sweep.RECORD)


@pytest.mark.parametrize("kind", DeadlineKind)
def test_a_deadline_that_fails_is_set_aside_and_comes_back_by_a_vote(
    monkeypatch: pytest.MonkeyPatch, kind: DeadlineKind
) -> None:
    world = EXPIRING[kind]()
    chain, bad = world.chain, world.subjects[1]
    recorder = sweep.RECORD[kind]
    entry = recorder.entries(world.records.get(chain.view, bad))[0]
    late = world.message(bad)
    with monkeypatch.context() as patch:
        broken = failing(recorder.record, lambda subject: subject == bad, ZeroDivisionError)
        patch.setitem(sweep.RECORD, kind, replace(recorder, record=broken))
        seen = chain.block(seconds=world.seconds).events
        for _ in range(world.blocks):
            chain.block()
        (aside,) = SET_ASIDE.all(chain.view)
        assert (aside.kind, aside.subject, aside.entry, aside.retries) == (kind, bad, entry, 0)
        (said,) = [dict(event.attributes) for event in seen if event.kind == "upkeep"]
        assert (said["action"], said["id"], said["error"]) == ("set-aside", bad.hex(), "ZeroDivisionError")
        assert world.statuses() == [False, True, False], "the others are recorded, this one is as it was"
        assert untouched(chain)
        refused(chain.run(world.actor, late, key=world.key), *world.code, why="past its deadline all the same")
        chain.block()
        assert len(list(SET_ASIDE.all(chain.view))) == 1, "it is not tried again in every block"
    done = pass_(chain, RETRY, "retry")
    assert status(chain, done) == pb.PROPOSAL_STATUS_EXECUTED
    for _ in range(world.blocks + 1):
        chain.block()
    assert world.statuses() == [False, False, False]
    (aside,) = SET_ASIDE.all(chain.view)
    assert (aside.entry, aside.retries) == (b"", 1)
    assert untouched(chain)


def test_what_fails_again_is_set_aside_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = orders()
    recorder = sweep.RECORD[DeadlineKind.ORDER]
    broken = failing(recorder.record, lambda subject: subject == world.subjects[0], ZeroDivisionError)
    monkeypatch.setitem(sweep.RECORD, DeadlineKind.ORDER, replace(recorder, record=broken))
    world.pass_by()
    pass_(world.chain, RETRY)
    world.chain.block()
    (aside,) = SET_ASIDE.all(world.chain.view)
    assert (bool(aside.entry), aside.retries, aside.height) == (True, 1, world.chain.height)
    assert untouched(world.chain)


def test_what_ended_otherwise_meanwhile_is_not_recorded_when_it_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = fresh_custody()
    chain = custody.chain
    order = custody.place(expires_at_time_s=chain.time_s + 1_000)
    recorder = sweep.RECORD[DeadlineKind.ORDER]
    with monkeypatch.context() as patch:
        broken = failing(recorder.record, lambda _: True, ZeroDivisionError)
        patch.setitem(sweep.RECORD, DeadlineKind.ORDER, replace(recorder, record=broken))
        chain.block(seconds=1_000)
    assert chain.run(custody.principal, tx_pb2.CloseOrder(order=order)).code == Code.OK
    ended = custody.order(order)
    assert ended.status == custody_pb2.ORDER_STATUS_EXPIRED
    pass_(chain, RETRY)
    chain.block()
    assert custody.order(order) == ended
    assert differences(chain.view) == []


def test_a_deadline_that_was_put_off_meanwhile_is_not_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set aside when its time had come and its height had not; then taken back, and closed anew."""
    world = vaults()
    chain, vault = world.chain, world.subjects[0]
    with monkeypatch.context() as patch:
        recorder = sweep.RECORD[DeadlineKind.VAULT]
        broken = failing(recorder.record, lambda _: True, ZeroDivisionError)
        patch.setitem(sweep.RECORD, DeadlineKind.VAULT, replace(recorder, record=broken))
        chain.block(seconds=world.seconds)
    assert chain.run(world.actor, tx_pb2.CancelCloseVault(vault=vault)).code == Code.OK
    assert chain.run(world.actor, tx_pb2.CloseVault(vault=vault)).code == Code.OK
    pass_(chain, RETRY)
    chain.block()
    closing = VAULTS.get(chain.view, vault)
    assert (closing.status, closing.waits_for_height) == (custody_pb2.VAULT_STATUS_CLOSING, False)
    assert differences(chain.view) == []


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_at_a_deadline_too(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    world = orders()
    recorder = sweep.RECORD[DeadlineKind.ORDER]
    broken = failing(recorder.record, lambda _: True, error)
    monkeypatch.setitem(sweep.RECORD, DeadlineKind.ORDER, replace(recorder, record=broken))
    with pytest.raises(type(error())):
        world.pass_by()


def test_an_upgrade_puts_back_what_was_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    world = orders()
    chain = world.chain
    recorder = sweep.RECORD[DeadlineKind.ORDER]
    with monkeypatch.context() as patch:
        broken = failing(recorder.record, lambda _: True, ZeroDivisionError)
        patch.setitem(sweep.RECORD, DeadlineKind.ORDER, replace(recorder, record=broken))
        world.pass_by()
    assert world.statuses() == [True] * 3
    at = chain.height + 6
    pass_(chain, governance.upgrade(at, 2))
    monkeypatch.setattr("abci_app.transition.PROTOCOL_VERSIONS", (1, 2))
    while chain.height < at:
        chain.block()
    assert world.statuses() == [False] * 3
    assert differences(chain.view) == []
