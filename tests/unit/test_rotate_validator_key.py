"""RotateValidatorKey: a new key takes the old one's place, proved, once, and never too much of the power at a time."""

from __future__ import annotations

import pytest
from nacl.signing import SigningKey

from abci_app.block import BlockResult, Changes, Misbehaviour, TxResult, ValidatorUpdate
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.records import FIDUCIARIES, VALIDATOR_CHANGES, validator_address
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import only_consumed, set_params

WINDOW_BLOCKS = 5


def new_key(tag: object) -> SigningKey:
    return SigningKey(seeded("new-validator", tag))


def rotation(
    chain: Chain, founder: Actor, key: SigningKey, *, gid: bytes | None = None, of: Actor | None = None,
    old_key: bytes | None = None,
) -> tx_pb2.RotateValidatorKey:  # fmt: skip
    """The message as an honest fiduciary builds it, unless something is named."""
    public = bytes(key.verify_key)
    of = of or founder
    old_key = FIDUCIARIES.get(chain.view, of.identity).validator_key if old_key is None else old_key
    statement = statements.validator_key_statement(
        chain.gid if gid is None else gid, of.identity, public, old_key
    )
    return tx_pb2.RotateValidatorKey(key=public, proof=key.sign(statement).signature)


def rotate(chain: Chain, founder: Actor, tag: object) -> BlockResult:
    return chain.block(chain.tx(founder, rotation(chain, founder, new_key(tag))))


def answer_of(result: BlockResult) -> TxResult:
    return result.tx_results[0]


@pytest.fixture
def chain() -> Chain:
    made = Chain(4)
    set_params(made, validator_change_window_blocks=WINDOW_BLOCKS)
    return made


def test_the_new_key_takes_the_power_of_the_old_one_in_one_block(chain: Chain) -> None:
    founder = chain.founders[0]
    old = FIDUCIARIES.get(chain.view, founder.identity).validator_key
    result = rotate(chain, founder, 1)
    new = bytes(new_key(1).verify_key)
    assert answer_of(result).code == Code.OK
    assert result.tx_results[0].data == new
    assert result.validator_updates == (ValidatorUpdate(old, 0), ValidatorUpdate(new, 10))
    record = FIDUCIARIES.get(chain.view, founder.identity)
    assert (record.validator_key, record.power, record.key_changed_height) == (new, 10, chain.height)
    change = VALIDATOR_CHANGES.get(chain.view, chain.height)
    assert (change.fiduciary, change.old_key, change.new_key, change.power) == (founder.identity, old, new, 10)


def test_other_blocks_change_no_validators(chain: Chain) -> None:
    rotate(chain, chain.founders[0], 1)
    assert chain.block().validator_updates == ()


def test_evidence_of_the_old_key_and_of_the_new_one_both_name_the_fiduciary(chain: Chain) -> None:
    founder = chain.founders[2]
    old = FIDUCIARIES.get(chain.view, founder.identity).validator_key
    rotate(chain, founder, 1)
    addresses = [validator_address(key) for key in (old, bytes(new_key(1).verify_key))]
    chain.block(misbehaviour=tuple(Misbehaviour(1, address, chain.height) for address in addresses))
    assert FIDUCIARIES.get(chain.view, founder.identity).misbehaviour_count == 2


def test_a_key_that_was_ever_used_is_never_taken_again(chain: Chain) -> None:
    one, two = chain.founders[:2]
    first = SigningKey(seeded("validator", one.name))
    rotate(chain, one, 1)
    for _ in range(WINDOW_BLOCKS):
        chain.block()
    for key, founder in ((first, one), (new_key(1), one), (new_key(1), two), (first, two)):
        result = chain.block(chain.tx(founder, rotation(chain, founder, key)))
        refused(answer_of(result), Code.VALIDATOR_KEY_USED)
        assert result.validator_updates == ()


def test_a_key_of_small_order_is_none(chain: Chain) -> None:
    message = rotation(chain, chain.founders[0], new_key(1))
    message.key = (1).to_bytes(32, "little")
    refused(chain.run(chain.founders[0], message), Code.VALIDATOR_KEY_USED)


@pytest.mark.parametrize("name", ["another fiduciary", "another ledger", "another old key", "another new key"])
def test_a_proof_is_good_for_one_fiduciary_ledger_and_change_only(chain: Chain, name: str) -> None:
    founder, key = chain.founders[0], new_key(1)
    message = rotation(
        chain, founder, key,
        gid=bytes(32) if name == "another ledger" else None,
        of=chain.founders[1] if name == "another fiduciary" else None,
        old_key=bytes(32) if name == "another old key" else None,
    )  # fmt: skip
    if name == "another new key":
        message.key = bytes(new_key(2).verify_key)
    tx = chain.tx(founder, message)
    result = chain.block(tx)
    refused(answer_of(result), Code.VALIDATOR_KEY_PROOF)
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    assert only_consumed(result.changes, body.expires_at_height)


def test_only_a_fiduciary_has_a_consensus_key(chain: Chain) -> None:
    alice = Actor("alice")
    chain.register(alice)
    message = tx_pb2.RotateValidatorKey(key=bytes(new_key(1).verify_key), proof=bytes(64))
    refused(chain.run(alice, message), Code.NOT_FIDUCIARY, "validator-key")


def test_the_node_key_may_not_move_the_vote(chain: Chain) -> None:
    founder = chain.founders[0]
    result = chain.run(founder, rotation(chain, founder, new_key(1)), key=founder.node_key)
    refused(result, Code.NOT_ALLOWED, "node-key")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((31, 64), Because(Code.FIELD_INVALID, "key")), ((33, 64), Because(Code.FIELD_INVALID, "key")),
        ((32, 0), Because(Code.FIELD_INVALID, "proof")), ((32, 65), Because(Code.FIELD_INVALID, "proof")),
    ],
)  # fmt: skip
def test_fields_of_another_size_are_refused(chain: Chain, sizes: tuple[int, int], expected: Because) -> None:
    message = tx_pb2.RotateValidatorKey(key=bytes(sizes[0]), proof=bytes(sizes[1]))
    refused(chain.run(chain.founders[0], message), *expected)


def test_one_change_a_block_and_less_than_a_third_of_the_power_within_the_window(chain: Chain) -> None:
    one, two, three = chain.founders[:3]
    both = chain.block(
        chain.tx(one, rotation(chain, one, new_key(1))), chain.tx(two, rotation(chain, two, new_key(2)))
    )
    assert [because(result) for result in both.tx_results] == [
        TAKEN, Because(Code.VALIDATOR_CHANGE_TOO_SOON, "one-a-block"),
    ]
    assert len(both.validator_updates) == 2
    # 10 of 40 is less than a third, 20 of 40 is not: the second one waits until the first is out of the window.
    for height in range(WINDOW_BLOCKS - 1):
        refused(answer_of(rotate(chain, three, ("early", height))), Code.VALIDATOR_CHANGE_TOO_SOON, "window")
    assert answer_of(rotate(chain, three, 3)).code == Code.OK


def test_seven_validators_may_change_two_within_the_window() -> None:
    chain = Chain(7)
    answers = [because(answer_of(rotate(chain, founder, n))) for n, founder in enumerate(chain.founders[:3])]
    assert answers == [TAKEN, TAKEN, Because(Code.VALIDATOR_CHANGE_TOO_SOON, "window")]


def test_one_a_block_holds_where_the_power_would_allow_two() -> None:
    chain = Chain(7)
    result = chain.block(
        *(chain.tx(founder, rotation(chain, founder, new_key(founder.name))) for founder in chain.founders[:2])
    )
    assert [because(one) for one in result.tx_results] == [
        TAKEN, Because(Code.VALIDATOR_CHANGE_TOO_SOON, "one-a-block"),
    ]


@pytest.mark.parametrize("count", [2, 3])
def test_fewer_than_four_change_one_at_a_time(count: int) -> None:
    chain = Chain(count)
    set_params(chain, validator_change_window_blocks=WINDOW_BLOCKS)
    assert answer_of(rotate(chain, chain.founders[0], 0)).code == Code.OK
    refused(answer_of(rotate(chain, chain.founders[1], 1)), Code.VALIDATOR_CHANGE_TOO_SOON, "window")
    for _ in range(WINDOW_BLOCKS):
        chain.block()
    assert answer_of(rotate(chain, chain.founders[1], 2)).code == Code.OK


def test_a_third_of_the_power_among_four_stays_where_it_is(chain: Chain) -> None:
    heavy = FIDUCIARIES.get(chain.view, chain.founders[0].identity)
    heavy.power = 15  # of 45
    chain.view.apply(Changes(leaves=((FIDUCIARIES.key(heavy.id), heavy.SerializeToString(deterministic=True)),)))
    refused(answer_of(rotate(chain, chain.founders[0], 1)), Code.VALIDATOR_CHANGE_TOO_SOON, "window")
    assert answer_of(rotate(chain, chain.founders[1], 1)).code == Code.OK


def test_a_single_validator_keeps_its_key() -> None:
    chain = Chain(1)
    refused(answer_of(rotate(chain, chain.founders[0], 1)), Code.LAST_VALIDATOR, "rotated")


def test_a_removed_fiduciary_has_no_vote_to_move(chain: Chain) -> None:
    removed = FIDUCIARIES.get(chain.view, chain.founders[0].identity)
    removed.status = identity_pb2.FIDUCIARY_STATUS_REMOVED
    chain.view.apply(Changes(leaves=((FIDUCIARIES.key(removed.id), removed.SerializeToString(deterministic=True)),)))
    refused(answer_of(rotate(chain, chain.founders[0], 1)), Code.NOT_FIDUCIARY, "validator-key")


def test_a_refused_change_leaves_the_validators_as_they_are(chain: Chain) -> None:
    founder = chain.founders[0]
    good = rotation(chain, founder, new_key(1))
    bad = tx_pb2.RotateValidatorKey(key=good.key, proof=bytes(64))
    result = chain.block(chain.tx(founder, bad), chain.tx(founder, good))
    assert [because(one) for one in result.tx_results] == [Because(Code.VALIDATOR_KEY_PROOF), TAKEN]
    assert len(result.validator_updates) == 2
