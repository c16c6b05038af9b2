"""What passed and is executed: fiduciaries admitted and removed, in turn; parameters changed; identities revoked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nacl.signing import SigningKey

from abci_app import params
from abci_app.block import Changes, TxResult, ValidatorUpdate
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.params import MIN_BLOCK_COST
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2, params_pb2, tx_pb2
from abci_app.state import records
from abci_app.state.indexes import WAITING_PROPOSALS
from abci_app.state.records import FIDUCIARIES, IDENTITIES, IDENTITY_HISTORY
from tests.support import governance
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain
from tests.support.custody import make_custody
from tests.support.governance import admit, answer_to, pass_, propose, proposing, record, remove, revoke, status, vote
from tests.support.refusals import Because, because, recorded, refused
from tests.support.world import set_params

WINDOW_BLOCKS = 12


@pytest.fixture
def chain() -> Chain:
    made = Chain(4)
    set_params(made, validator_change_window_blocks=WINDOW_BLOCKS)
    return made


@pytest.fixture
def fifth(chain: Chain) -> Actor:
    made = Actor("fifth", fiduciary=True)
    chain.register(made)
    return made


def wait_for_room(chain: Chain) -> None:
    for _ in range(WINDOW_BLOCKS):
        chain.block()


# --- admission


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nobody", Because(Code.UNKNOWN_IDENTITY, "admitted")), ("no fiduciary", Because(Code.NO_FIDUCIARY_ROLE)),
        ("suspended", Because(Code.IDENTITY_NOT_ACTIVE, "admitted")), ("a fiduciary already",
        Because(Code.ALREADY_FIDUCIARY)),
        ("a used key", Because(Code.VALIDATOR_KEY_USED)), ("another's proof", Because(Code.VALIDATOR_KEY_PROOF)),
        ("too heavy", Because(Code.VALIDATOR_CHANGE_TOO_LARGE)), ("full", Because(Code.TOO_MANY_FIDUCIARIES)),
    ],
)  # fmt: skip
def test_an_admission_that_can_not_be_is_refused_when_it_is_proposed(
    chain: Chain, fifth: Actor, name: str, code: Because
) -> None:
    alice = Actor("alice")
    chain.register(alice)
    action = admit(chain, fifth)
    if name == "nobody":
        action.admit_fiduciary.identity = bytes(32)
    elif name == "no fiduciary":
        action = admit(chain, alice)
    elif name == "suspended":
        assert chain.run(fifth, tx_pb2.SuspendIdentity()).code == Code.OK
    elif name == "a fiduciary already":
        action = admit(chain, chain.founders[2])
    elif name == "a used key":
        key = SigningKey(seeded("validator", chain.founders[0].name))
        action.admit_fiduciary.validator_key = bytes(key.verify_key)
    elif name == "another's proof":
        action.admit_fiduciary.proof = admit(chain, alice).admit_fiduciary.proof
    elif name == "too heavy":
        action = admit(chain, fifth, power=20)  # of 60
    else:
        set_params(chain, max_fiduciaries=4)
    refused(answer_to(chain, chain.founders[0], proposing(action)), *code)


def test_what_becomes_of_the_candidate_before_the_vote_counts_at_the_execution(chain: Chain, fifth: Actor) -> None:
    one, two, three = chain.founders[:3]
    proposal = propose(chain, one, admit(chain, fifth))
    vote(chain, two, proposal)
    assert chain.run(fifth, tx_pb2.SuspendIdentity()).code == Code.OK
    result = vote(chain, three, proposal)
    made = record(chain, proposal)
    assert made.status == pb.PROPOSAL_STATUS_FAILED
    recorded(made.failure_code, Code.IDENTITY_NOT_ACTIVE)
    assert result.validator_updates == ()
    assert FIDUCIARIES.find(chain.view, fifth.identity) is None
    assert not WAITING_PROPOSALS.has_any(chain.view)


def test_two_proposals_to_admit_one_identity_admit_it_once(chain: Chain, fifth: Actor) -> None:
    first = propose(chain, chain.founders[0], admit(chain, fifth, tag=1), tag=1)
    second = propose(chain, chain.founders[1], admit(chain, fifth, tag=2), tag=2)
    for proposal in (first, second):
        for voter in chain.founders if proposal == second else chain.founders[:3]:
            if voter.identity != record(chain, proposal).proposer:
                vote(chain, voter, proposal)
    assert status(chain, first) == pb.PROPOSAL_STATUS_EXECUTED
    recorded(record(chain, second).failure_code, Code.ALREADY_FIDUCIARY)


def test_an_admission_is_possible_of_just_less_than_a_third_of_the_power_with_it(chain: Chain, fifth: Actor) -> None:
    too_much = proposing(admit(chain, fifth, power=20))  # of 60
    refused(answer_to(chain, chain.founders[0], too_much), Code.VALIDATOR_CHANGE_TOO_LARGE)
    assert status(chain, pass_(chain, admit(chain, fifth, power=19))) == pb.PROPOSAL_STATUS_EXECUTED


def test_three_admit_a_fourth_of_any_power_and_a_fifth_waits_for_the_window() -> None:
    chain = Chain(3)
    set_params(chain, validator_change_window_blocks=WINDOW_BLOCKS)
    heavy, light = Actor("heavy", fiduciary=True), Actor("light", fiduciary=True)
    chain.register(heavy, light)
    assert status(chain, pass_(chain, admit(chain, heavy, "h", 30), "h")) == pb.PROPOSAL_STATUS_EXECUTED
    proposal = pass_(chain, admit(chain, light, "l", 5), "l", [*chain.founders, heavy])
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_PASSED
    wait_for_room(chain)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


# --- removal


def test_a_removed_fiduciary_has_no_vote_and_gets_nothing_new_but_answers_what_it_owes() -> None:
    custody = make_custody(chain=Chain(4))
    chain, removed = custody.chain, custody.chain.founders[3]
    order = custody.place(fulfil=False)
    proposal = pass_(chain, remove(removed))
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED
    fiduciary = FIDUCIARIES.get(chain.view, removed.identity)
    assert fiduciary.status == identity_pb2.FIDUCIARY_STATUS_REMOVED
    assert fiduciary.removed_height == chain.height
    refused(
        chain.run(removed, proposing(governance.change_params(chain, max_upkeep_cost=7))),
        Code.NOT_FIDUCIARY,
        "proposal",
    )
    opening = tx_pb2.OpenVault(nonce=seeded("v"), custodian="hsm-realm", fiduciaries=[removed.identity])
    refused(chain.run(custody.principal, opening), Code.FIDUCIARY_NOT_ACTIVE, "vault")
    placing = custody.order_message(seeded("o"))
    refused(chain.run(custody.principal, placing), Code.FIDUCIARY_NOT_ACTIVE, "order")
    newcomer = Actor("newcomer")
    sponsoring = tx_pb2.RegisterIdentity(envelope=newcomer.enrol(chain.gid))
    refused(chain.run(removed, sponsoring), Code.SPONSOR_REQUIRED, "sponsor")
    assert chain.result(removed, tx_pb2.FulfilOrder(order=order)).code == Code.OK


def test_the_removal_tells_cometbft_and_the_key_never_comes_back(chain: Chain) -> None:
    removed = chain.founders[3]
    old = FIDUCIARIES.get(chain.view, removed.identity).validator_key
    proposal = propose(chain, chain.founders[0], remove(removed))
    vote(chain, chain.founders[1], proposal)
    result = vote(chain, chain.founders[2], proposal)
    assert result.validator_updates == (ValidatorUpdate(old, 0),)
    wait_for_room(chain)
    action = admit(chain, removed)
    action.admit_fiduciary.validator_key = old
    refused(answer_to(chain, chain.founders[0], proposing(action)), Code.VALIDATOR_KEY_USED)
    assert status(chain, pass_(chain, admit(chain, removed), "again")) == pb.PROPOSAL_STATUS_EXECUTED
    back = FIDUCIARIES.get(chain.view, removed.identity)
    assert back.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE


def test_two_removals_that_pass_together_do_not_leave_a_chain_without_validators() -> None:
    chain = Chain(2)
    set_params(chain, validator_change_window_blocks=WINDOW_BLOCKS)
    one, two = chain.founders
    both = [propose(chain, one, remove(who), who.name) for who in (two, one)]
    votes = [pb.Vote(proposal=id_, content_digest=record(chain, id_).content_digest) for id_ in both]
    chain.block(*[chain.tx(two, message) for message in votes])
    wait_for_room(chain)
    # Those that pass in one block are executed by their ids.
    first, second = sorted(both)
    assert (status(chain, first), status(chain, second)) == (pb.PROPOSAL_STATUS_EXECUTED, pb.PROPOSAL_STATUS_FAILED)
    recorded(record(chain, second).failure_code, Code.LAST_VALIDATOR)
    left = [who for who in (one, two) if FIDUCIARIES.get(chain.view, who.identity).removed_height == 0]
    assert len(left) == 1


def test_a_proposal_to_remove_counts_the_orders_that_fall_below_their_threshold() -> None:
    custody = make_custody(chain=Chain(4))
    chain, removed = custody.chain, custody.chain.founders[3]
    others = [founder.identity for founder in chain.founders[:3]]
    custody.place(seeded(1), threshold=4)
    custody.place(seeded(2), threshold=3)
    custody.place(seeded(3), threshold=2, fiduciaries=others, share_commitments=[seeded(n) for n in range(3)])
    closed = custody.place(seeded(4), threshold=4)
    assert chain.run(custody.principal, tx_pb2.CloseOrder(order=closed)).code == Code.OK
    rejected = custody.place(seeded(5), threshold=3, fulfil=False)
    rejection = tx_pb2.RejectOrder(order=rejected, rejection=5)
    assert chain.result(chain.founders[0], rejection).code == Code.OK
    impact = record(chain, propose(chain, chain.founders[0], remove(removed))).impact
    # The first needs all four; of the fifth one fiduciary refused already, so that two are left of three.
    assert (impact.open_orders, impact.below_threshold, impact.more) == (3, 2, False)


def test_the_count_of_a_removal_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abci_app.governance.remove._MAX_STEPS", 12)
    custody = make_custody(chain=Chain(4))
    for n in range(4):
        custody.place(seeded(n))
    one, *_, four = custody.chain.founders
    impact = record(custody.chain, propose(custody.chain, one, remove(four))).impact
    # A step for the vault, and five for each order with its four answers.
    assert (impact.open_orders, impact.more) == (2, True)


@pytest.mark.parametrize(
    ("count", "who", "code"),
    [
        (4, "nobody", Because(Code.UNKNOWN_FIDUCIARY, "removed")), (4, "removed",
        Because(Code.FIDUCIARY_NOT_ACTIVE, "removed")),
        (1, "last", Because(Code.LAST_VALIDATOR, "removed")),
    ],
)  # fmt: skip
def test_a_removal_that_can_not_be_is_refused(count: int, who: str, code: Because) -> None:
    chain = Chain(count)
    action = remove(chain.founders[-1])
    if who == "nobody":
        action.remove_fiduciary.identity = bytes(32)
    if who == "removed":
        pass_(chain, remove(chain.founders[3]))
    refused(answer_to(chain, chain.founders[0], proposing(action)), *code)


def test_a_third_of_the_power_among_four_can_not_be_removed_at_once(chain: Chain) -> None:
    heavy = FIDUCIARIES.get(chain.view, chain.founders[0].identity)
    heavy.power = 15  # of 45
    chain.view.apply(Changes(leaves=((FIDUCIARIES.key(heavy.id), heavy.SerializeToString(deterministic=True)),)))
    message = proposing(remove(chain.founders[0]))
    refused(answer_to(chain, chain.founders[1], message), Code.VALIDATOR_CHANGE_TOO_LARGE)


# --- room among the validators


def test_an_admission_and_a_removal_that_pass_together_take_turns(chain: Chain, fifth: Actor) -> None:
    admission = pass_(chain, admit(chain, fifth), "admission")
    removal = propose(chain, chain.founders[0], remove(chain.founders[3]))
    vote(chain, chain.founders[1], removal)
    vote(chain, chain.founders[2], removal)
    vote(chain, fifth, removal)
    assert (status(chain, admission), status(chain, removal)) == (
        pb.PROPOSAL_STATUS_EXECUTED, pb.PROPOSAL_STATUS_PASSED,
    )  # fmt: skip
    passed_at = chain.height
    wait_for_room(chain)
    made = record(chain, removal)
    assert made.status == pb.PROPOSAL_STATUS_EXECUTED
    assert made.ended_height > passed_at


def test_one_that_is_to_be_removed_can_not_use_the_room_up_by_rotating_its_key(chain: Chain) -> None:
    villain = chain.founders[3]

    def rotate(tag: object) -> TxResult:
        key = governance.validator_key(("rotated", tag))
        old = FIDUCIARIES.get(chain.view, villain.identity).validator_key
        statement = statements.validator_key_statement(chain.gid, villain.identity, bytes(key.verify_key), old)
        proof = key.sign(statement).signature
        return chain.run(villain, tx_pb2.RotateValidatorKey(key=bytes(key.verify_key), proof=proof))

    proposal = propose(chain, chain.founders[0], remove(villain))
    assert rotate("just before").code == Code.OK
    vote(chain, chain.founders[1], proposal)
    vote(chain, chain.founders[2], proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_PASSED
    answers = []
    while status(chain, proposal) == pb.PROPOSAL_STATUS_PASSED:
        answers.append(because(rotate(chain.height)))
        assert len(answers) <= WINDOW_BLOCKS, "it was never removed"
    assert set(answers) <= {
        Because(Code.VALIDATOR_CHANGE_TOO_SOON, "decided-first"), Because(Code.NOT_FIDUCIARY, "validator-key"),
    }
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


def test_what_waits_for_room_holds_up_nothing_else(chain: Chain, fifth: Actor) -> None:
    pass_(chain, admit(chain, fifth))
    removal = pass_(chain, remove(chain.founders[3]), "r", [*chain.founders[:3], fifth])
    assert status(chain, removal) == pb.PROPOSAL_STATUS_PASSED
    change = pass_(chain, governance.change_params(chain, max_upkeep_cost=7), "p", [*chain.founders[:3], fifth])
    assert status(chain, change) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_change_that_would_fit_does_not_overtake_one_that_waits_for_room(chain: Chain, fifth: Actor) -> None:
    light = Actor("light", fiduciary=True)
    chain.register(light)
    pass_(chain, admit(chain, fifth))
    removal = pass_(chain, remove(chain.founders[3]), "r", [*chain.founders[:3], fifth])
    admission = pass_(chain, admit(chain, light, "l", power=1), "l", [*chain.founders[:3], fifth])
    assert [status(chain, one) for one in (removal, admission)] == [pb.PROPOSAL_STATUS_PASSED] * 2
    wait_for_room(chain)
    first, second = record(chain, removal), record(chain, admission)
    assert [one.status for one in (first, second)] == [pb.PROPOSAL_STATUS_EXECUTED] * 2
    assert first.ended_height < second.ended_height


def test_what_waits_can_neither_be_withdrawn_nor_expire(chain: Chain, fifth: Actor) -> None:
    pass_(chain, admit(chain, fifth))
    removal = pass_(chain, remove(chain.founders[3]), "r", [*chain.founders[:3], fifth])
    message = pb.WithdrawProposal(proposal=removal)
    refused(chain.run(chain.founders[0], message), Code.PROPOSAL_NOT_OPEN)
    chain.block(seconds=10 * records.params(chain.view).proposal_ttl_s)
    assert status(chain, removal) == pb.PROPOSAL_STATUS_PASSED


# --- parameters


def test_changed_parameters_are_in_force_from_the_next_block_on(chain: Chain) -> None:
    one, two, three = chain.founders[:3]
    set_params(chain, max_txs_per_identity=2)
    proposal = propose(chain, one, governance.change_params(chain, max_txs_per_identity=1))
    vote(chain, two, proposal)
    digest = record(chain, proposal).content_digest
    other = propose(chain, two, governance.change_params(chain, max_upkeep_cost=9), "other")
    votes = [
        pb.Vote(proposal=proposal, content_digest=digest),
        pb.Vote(proposal=other, content_digest=record(chain, other).content_digest),
    ]
    result = chain.block(*(chain.tx(three, ballot) for ballot in votes))
    assert [tx.code for tx in result.tx_results] == [Code.OK, Code.OK]  # two, by the old parameters
    assert records.params(chain.view).max_txs_per_identity == 1
    result = chain.block(*(chain.tx(one, pb.Vote(proposal=other, content_digest=bytes(32))) for _ in range(2)))
    assert [because(tx) for tx in result.tx_results] == [
        Because(Code.CONTENT_MISMATCH, "vote"), Because(Code.TOO_MANY, "txs"),
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda p: setattr(p, "max_upkeep_cost", 0), Because(Code.PARAMS_REFUSED, "bounds")),
        (lambda p: setattr(p, "max_block_cost", MIN_BLOCK_COST - 1), Because(Code.PARAMS_REFUSED, "bounds")),
        (lambda p: setattr(p, "protocol_version", 2), Because(Code.PARAMS_REFUSED, "protocol-version")),
        (lambda p: p.ClearField("custodians"), Because(Code.PARAMS_REFUSED, "bounds")),
        (lambda p: setattr(p.custodians[0], "contribution_bytes", 33), Because(Code.PARAMS_REFUSED, "custodian")),
        (lambda p: setattr(p, "registration", 0), Because(Code.PARAMS_REFUSED, "bounds")),
    ],
)
def test_parameters_that_can_not_be_are_refused(
    chain: Chain, change: Callable[[params_pb2.Params], None], code: Because
) -> None:
    action = governance.change_params(chain)
    change(action.change_params.params)
    refused(answer_to(chain, chain.founders[0], proposing(action)), *code)


def test_a_change_of_parameters_moves_no_version_though_the_binary_has_it(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(params, "PROTOCOL_VERSIONS", (1, 2))
    action = governance.change_params(chain, protocol_version=2)
    refused(answer_to(chain, chain.founders[0], proposing(action)), Code.PARAMS_REFUSED, "protocol-version")


def test_a_custodian_can_be_added(chain: Chain) -> None:
    action = governance.change_params(chain)
    action.change_params.params.custodians.add(
        name="another", contribution_bytes=32, verifier=params_pb2.VERIFIER_NONE
    )
    custodians = sorted(action.change_params.params.custodians, key=lambda custodian: custodian.name)
    action.change_params.params.ClearField("custodians")
    action.change_params.params.custodians.extend(custodians)
    assert status(chain, pass_(chain, action)) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_change_built_on_other_parameters_undoes_nothing(chain: Chain) -> None:
    stale = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7), "stale")
    pass_(chain, governance.change_params(chain, max_open_proposals=9))
    vote(chain, chain.founders[1], stale)
    vote(chain, chain.founders[2], stale)
    recorded(record(chain, stale).failure_code, Code.PARAMS_STALE)
    assert records.params(chain.view).max_open_proposals == 9
    message = proposing(pb.Action(change_params=record(chain, stale).action.change_params))
    refused(answer_to(chain, chain.founders[0], message), Code.PARAMS_STALE)


# --- revocation


def test_an_identity_is_revoked_by_vote_and_its_history_names_the_deciding_vote(chain: Chain) -> None:
    alice = Actor("alice")
    chain.register(alice)
    proposal = pass_(chain, revoke(alice))
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED
    identity = IDENTITIES.get(chain.view, alice.identity)
    assert identity.status == identity_pb2.IDENTITY_STATUS_REVOKED
    entry = IDENTITY_HISTORY.get(chain.view, alice.identity, identity.history_count - 1)
    assert (entry.change, entry.tx_hash) == (identity_pb2.IDENTITY_CHANGE_REVOKED, record(chain, proposal).deciding_tx)
    refused(chain.run(alice, tx_pb2.SuspendIdentity()), Code.SIGNER_REVOKED)
    refused(answer_to(chain, chain.founders[0], proposing(revoke(alice))), Code.ALREADY_DONE, "revoked")


def test_a_fiduciary_that_is_revoked_by_vote_neither_votes_nor_answers_and_keeps_its_power_until_removed() -> None:
    custody = make_custody(chain=Chain(4))
    chain, revoked = custody.chain, custody.chain.founders[3]
    order = custody.place(fulfil=False)
    assert status(chain, pass_(chain, revoke(revoked))) == pb.PROPOSAL_STATUS_EXECUTED
    refused(chain.result(revoked, tx_pb2.FulfilOrder(order=order)), Code.SIGNER_REVOKED)
    assert FIDUCIARIES.get(chain.view, revoked.identity).power == 10
    removal = pass_(chain, remove(revoked), "removal")
    assert (status(chain, removal), record(chain, removal).power_total) == (pb.PROPOSAL_STATUS_EXECUTED, 40)


def test_a_fiduciary_without_whom_nothing_could_be_decided_is_removed_before_it_is_revoked() -> None:
    chain = Chain(3)
    third = chain.founders[2]
    refused(answer_to(chain, chain.founders[0], proposing(revoke(third))), Code.LAST_VALIDATOR, "revoked")
    assert status(chain, pass_(chain, remove(third), "removal")) == pb.PROPOSAL_STATUS_EXECUTED
    revocation = pass_(chain, revoke(third), "revocation", chain.founders[:2])
    assert status(chain, revocation) == pb.PROPOSAL_STATUS_EXECUTED
    chain = Chain(7)
    five = chain.founders[:5]
    for number in (6, 5):
        assert status(chain, pass_(chain, revoke(chain.founders[number]), number, five)) == pb.PROPOSAL_STATUS_EXECUTED
    refused(answer_to(chain, chain.founders[0], proposing(revoke(chain.founders[4]))), Code.LAST_VALIDATOR, "revoked")
    assert status(chain, pass_(chain, remove(chain.founders[6]), "removal", five)) == pb.PROPOSAL_STATUS_EXECUTED


def test_the_last_one_that_can_vote_is_not_revoked() -> None:
    chain = Chain(1)
    refused(answer_to(chain, chain.founders[0], proposing(revoke(chain.founders[0]))), Code.LAST_VALIDATOR, "revoked")
    action = pb.Action(revoke_identity=pb.RevokeByVote(identity=bytes(32)))
    refused(answer_to(chain, chain.founders[0], proposing(action)), Code.UNKNOWN_IDENTITY, "revoked")
