"""What one validator controls alone, be it a liar: no receipt is lost by it, and both verifiers take each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from abci_app.block import Time
from dta.client.receipt.collect import Collected, collect_state_receipt, collect_transaction_receipt
from dta.client.receipt.format import time_text
from dta.light import wire
from dta.light.hashes import tx_hash
from dta.light.types import FLAG_ABSENT, FLAG_COMMIT, Commit, CommitSig, Header
from tests.support.light_chain import NO_TIME, Chain, ClockedRpc, Members, Node, members, set_of, sign_commit
from tests.support.receipt_forge import SMALL_ORDER, signature_of_small_order
from tests.support.receipt_verifier import verdicts

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S

GROUP = members(4)
LIAR = GROUP[1][0]
LIAR_KEY = bytes(LIAR.verify_key)
SIGNS = Callable[[Header, Members], Commit]


def at(time: Time, **how: object) -> SIGNS:
    return lambda header, group: sign_commit(header, group, times={LIAR_KEY: time}, **how)  # type: ignore[arg-type]


def signs_oddly(commitment: bytes) -> SIGNS:
    """A signature that is good by ZIP-215 alone, of a liar who knows its key."""

    def sign(header: Header, group: Members) -> Commit:
        commit = sign_commit(header, group)
        index = [one.public_key for one in set_of(group).validators].index(LIAR_KEY)
        own = commit.signatures[index]
        message = wire.precommit_sign_bytes(header.chain_id, header.height, 0, commit.block_id, own.time)
        odd = replace(own, signature=signature_of_small_order(LIAR, message, commitment))
        return replace(commit, signatures=(*commit.signatures[:index], odd, *commit.signatures[index + 1 :]))

    return sign


def one_is_down() -> list[SigningKey]:
    """So that the liar's vote is needed."""
    return [GROUP[3][0]]


DAYS = {
    "the first moment": NO_TIME,
    "the year 999": Time(-30_641_760_000, 1),
    "a second before 1970": Time(-1, 999_999_999),
    "a day before 1970": Time(-86_400),
    "the last moment": Time(253_402_300_799, 999_999_999),
}
WAYS: dict[str, SIGNS] = {
    **{f"{day}": at(time) for day, time in DAYS.items()},
    **{f"{day}, for nil": at(time, nil=[LIAR]) for day, time in DAYS.items()},
    **{f"R {point.hex()}": signs_oddly(point) for point in SMALL_ORDER},
}


@pytest.fixture(scope="module", params=WAYS)
def chain(request: pytest.FixtureRequest) -> Chain:
    return chain_of(WAYS[request.param])


def chain_of(signs: SIGNS) -> Chain:
    made = Chain(GROUP)
    for number in range(4):
        made.add([(b"k%d" % number, b"v")], [b"tx %d" % number], commit=signs)
    return made


def test_receipts_are_made_and_both_verifiers_take_them(chain: Chain) -> None:
    rpc, trust = ClockedRpc(Node(chain)), chain.trust_file()
    made = [
        collect_transaction_receipt(rpc, trust, tx_hash(chain.txs[2][0])),
        collect_state_receipt(rpc, trust, [b"k1", b"nothing/"]),
    ]
    said = verdicts(trust, [one.content for one in made], NOW_S)
    assert [line.split(":")[0] for line in said] == ["ok", "ok"], said
    assert shown(made[0]) == [kept(one) for one in chain.blocks[2].signed.commit.signatures]


def shown(made: Collected) -> list[tuple[bool, Time] | None]:
    """The votes of the first block of a receipt."""
    return [vote and (vote.for_block, vote.time) for vote in made.verified.receipt.blocks[0].votes]


def kept(one: CommitSig) -> tuple[bool, Time] | None:
    """An entry of a commit that no other needs, as it stands in a receipt."""
    return None if one.flag == FLAG_ABSENT or one.time.seconds < 0 else (one.flag == FLAG_COMMIT, one.time)


@pytest.mark.parametrize("day", DAYS)
def test_a_vote_from_before_1970_is_kept_where_two_thirds_need_it(day: str) -> None:
    chain = chain_of(at(DAYS[day], absent=one_is_down()))
    rpc, trust = ClockedRpc(Node(chain)), chain.trust_file()
    made = collect_transaction_receipt(rpc, trust, tx_hash(chain.txs[2][0]))
    assert verdicts(trust, [made.content], NOW_S)[0].startswith("ok: ")
    assert [vote and vote[1] for vote in shown(made) if vote is None or vote[1] == DAYS[day]] == [None, DAYS[day]]


def test_a_vote_from_before_1970_is_kept_where_the_set_before_needs_it() -> None:
    """The trusted set and the one that signs share three members: without the liar's vote two thirds don't."""
    chain, liars_time = Chain(GROUP), Time(-1)
    group = (*GROUP[:3], *members(2, first=70))
    for number in range(6):
        chain.add([(b"k%d" % number, b"v")], [b"tx %d" % number], next_group=group, commit=at(liars_time))
    made = collect_transaction_receipt(ClockedRpc(Node(chain)), chain.trust_file(), tx_hash(chain.txs[4][0]))
    assert verdicts(chain.trust_file(), [made.content], NOW_S)[0].startswith("ok: ")
    blocks = made.verified.receipt.blocks
    needed = [any(vote and vote.time == liars_time for vote in block.votes) for block in blocks]
    assert needed == [block.validators is not None for block in blocks]
    assert True in needed


@pytest.mark.parametrize("time", [*DAYS.values(), Time(0), Time(1_800_000_000, 5)])
def test_a_time_has_one_spelling_whatever_the_year(time: Time) -> None:
    text = time_text(time)
    assert len(text) == len("2026-01-02T03:04:05.678901234Z")
    assert text.endswith(f".{time.nanos:09d}Z")
