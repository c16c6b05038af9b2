"""How belief moves from a trust file to a header, and when it must not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.block import Time
from dta.base.errors import NotVerified, UsageError
from dta.light.hashes import header_hash
from dta.light.trust import TrustedState, TrustFile
from dta.light.types import Header, LightBlock, SignedHeader
from dta.light.verify import ONE_THIRD
from tests.support.light_chain import CHAIN_ID, GID, START_S, Chain, members, set_of, sign_commit


def chain_of(blocks: int = 6) -> Chain:
    chain = Chain(members(4))
    for _ in range(blocks):
        chain.add()
    return chain


def resigned(block: LightBlock, header: Header, chain: Chain) -> LightBlock:
    """The validators themselves sign this header: only what they may not sign can be wrong with it."""
    return LightBlock(SignedHeader(header, sign_commit(header, chain.group)), block.validators)


def refused(state: TrustedState, block: LightBlock, step: str) -> str:
    with pytest.raises(NotVerified) as caught:
        state.step(block)
    assert caught.value.step == step
    assert caught.value.data["step"] == step
    return caught.value.message


def test_a_trust_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    chain = chain_of()
    file = chain.trust_file()
    state = TrustedState.from_file(file).step(chain.blocks[5])
    for trust in (file, file.moved(state)):
        path = tmp_path / "trust.json"
        trust.save(path)
        assert TrustFile.load(path) == trust
    assert file.moved(state).height == 5
    assert file.moved(state).trusted_at_s == chain.blocks[5].header.time.seconds
    assert [p.name for p in tmp_path.iterdir()] == ["trust.json"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", ""), ("chain_id", 1), ("gid", "00"), ("gid", None), ("genesis_hash", "zz"), ("height", -1),
        ("height", "1"), ("height", True), ("header_hash", "00" * 31), ("validators", []), ("validators", {}),
        ("validators", [{"public_key": "AA==", "power": 1}]), ("validators", [1]), ("trusted_at", "yesterday"),
        ("trusted_at", "2026-02-30T00:00:00Z"), ("trust_period_s", 0), ("trust_period_s", 1.5), ("surprise", 1),
    ],
)  # fmt: skip
def test_a_trust_file_with_a_bad_field_is_refused_with_a_hint(field: str, value: object) -> None:
    good = json.loads(chain_of(1).trust_file().to_json())
    with pytest.raises(UsageError) as caught:
        TrustFile.from_json(json.dumps({**good, field: value}))
    assert caught.value.hint


@pytest.mark.parametrize("field", ["chain_id", "gid", "height", "header_hash", "validators", "trusted_at"])
def test_a_trust_file_without_a_field_is_refused(field: str) -> None:
    good = json.loads(chain_of(1).trust_file().to_json())
    del good[field]
    with pytest.raises(UsageError):
        TrustFile.from_json(json.dumps(good))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"height": ' + "9" * 5000 + "}"])
def test_a_file_that_is_no_trust_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        TrustFile.from_json(text)


def test_a_missing_trust_file_is_a_usage_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        TrustFile.load(tmp_path / "none.json")
    assert "dta init" in caught.value.hint


def test_a_genesis_file_gives_its_validators_and_the_height_before_its_first_block() -> None:
    key = {"type": "tendermint/PubKeyEd25519", "value": "8j/7+eztfDoqTc1YQ99EUDFtaMv+XC0xuiTnhY8+rRs="}
    genesis = {"chain_id": "c", "initial_height": "7", "validators": [{"pub_key": key, "power": "10", "name": ""}]}
    trust = TrustFile.from_genesis(json.dumps(genesis).encode(), GID, START_S)
    assert (trust.chain_id, trust.height, trust.header_hash, trust.gid) == ("c", 6, b"", GID)
    assert trust.validators.total_power == 10
    for bad in (b"", b"{}", json.dumps({**genesis, "validators": []}).encode(), b"[]"):
        with pytest.raises(UsageError):
            TrustFile.from_genesis(bad, GID, START_S)


def test_belief_moves_by_single_steps_and_by_one_leap() -> None:
    chain = chain_of()
    start = TrustedState.from_file(chain.trust_file())
    assert start.advance(chain.blocks.values()).height == 6
    assert start.step(chain.blocks[6]).header == chain.blocks[6].header


def test_a_set_that_was_never_announced_is_refused_next_and_later() -> None:
    honest, forged = chain_of(), Chain(members(4, first=50))
    for _ in range(6):
        forged.add()
    start = TrustedState.from_file(honest.trust_file())
    assert "announced" in refused(start, forged.blocks[1], "trust")
    assert "0 of 40" in refused(start, forged.blocks[5], "trust")


def test_an_unchanged_set_needs_more_than_two_thirds_even_at_a_lower_trust_level() -> None:
    chain = chain_of(4)
    absent = [key for key, _ in chain.group][:2]
    block = chain.add(absent=absent)
    with pytest.raises(NotVerified) as caught:
        TrustedState.from_file(chain.trust_file()).step(block, ONE_THIRD)
    assert caught.value.step == "commit"


def test_votes_for_nil_do_not_count() -> None:
    chain = chain_of(3)
    block = chain.add()
    nil = [key for key, _ in chain.group][:2]
    commit = sign_commit(block.header, chain.group, nil=nil)
    refused(
        TrustedState.from_file(chain.trust_file()), LightBlock(SignedHeader(block.header, commit), block.validators),
        "commit",
    )  # fmt: skip
    one_nil = sign_commit(block.header, chain.group, nil=nil[:1])
    TrustedState.from_file(chain.trust_file()).step(LightBlock(SignedHeader(block.header, one_nil), block.validators))


def test_a_replaced_set_is_followed_step_by_step_but_not_by_a_leap() -> None:
    chain = chain_of(2)
    chain.add(next_group=members(4, first=20))
    for _ in range(3):
        chain.add()
    start = TrustedState.from_file(chain.trust_file())
    assert start.advance(chain.blocks.values()).height == 6
    refused(start, chain.blocks[6], "trust")


def test_more_than_the_trust_level_of_the_old_set_must_have_signed_a_leap() -> None:
    # Two of four stay: 1/2 of the old set, which is more than 1/3 and not more than 2/3.
    chain = chain_of(2)
    chain.add(next_group=chain.group[:2] + members(2, first=20))
    chain.add()
    start = TrustedState.from_file(chain.trust_file())
    assert "20 of 40" in refused(start, chain.blocks[4], "trust")
    assert start.step(chain.blocks[4], ONE_THIRD).height == 4


def test_a_header_that_does_not_follow_the_trusted_block_is_refused() -> None:
    chain = chain_of(4)
    state = TrustedState.from_file(chain.trust_file()).step(chain.blocks[3])
    header = chain.blocks[4].header
    other = replace(header.last_block_id, hash=bytes(32))
    refused(state, resigned(chain.blocks[4], replace(header, last_block_id=other), chain), "trust")


def test_time_must_rise() -> None:
    chain = chain_of(5)
    state = TrustedState.from_file(chain.trust_file()).step(chain.blocks[3])
    for time in (chain.blocks[3].header.time, Time(START_S)):
        header = replace(chain.blocks[5].header, time=time)
        refused(state, resigned(chain.blocks[5], header, chain), "time")


def test_a_height_that_was_passed_is_refused() -> None:
    chain = chain_of(5)
    state = TrustedState.from_file(chain.trust_file()).step(chain.blocks[3])
    refused(state, chain.blocks[3], "trust")
    refused(state, chain.blocks[2], "trust")


def test_another_chain_or_block_protocol_is_refused() -> None:
    chain = chain_of(2)
    state = TrustedState.from_file(chain.trust_file())
    header = replace(chain.blocks[2].header, chain_id="other")
    assert CHAIN_ID in refused(state, resigned(chain.blocks[2], header, chain), "header")
    header = replace(chain.blocks[2].header, version=replace(chain.blocks[2].header.version, block=12))
    refused(state, resigned(chain.blocks[2], header, chain), "header")


def test_a_trust_file_at_a_header_is_anchored_by_that_very_header() -> None:
    chain = chain_of(6)
    moved = chain.trust_file().moved(TrustedState.from_file(chain.trust_file()).step(chain.blocks[4]))
    state = TrustedState.from_file(moved)
    anchored = state.anchored(chain.blocks[4].header)
    assert anchored.next_validators_hash == chain.blocks[4].header.next_validators_hash
    assert anchored.header_hash == header_hash(chain.blocks[4].header)
    anchored.step(chain.blocks[5])
    for header in (chain.blocks[5].header, replace(chain.blocks[4].header, app_hash=bytes(32))):
        with pytest.raises(NotVerified):
            state.anchored(header)
    with pytest.raises(NotVerified, match="not those of its own header"):
        replace(state, validators=set_of(members(3))).anchored(chain.blocks[4].header)


def test_a_trust_file_expires_after_its_period() -> None:
    trust = replace(chain_of(1).trust_file(), trust_period_s=100)
    assert not trust.expired(START_S + 100)
    assert trust.expired(START_S + 101)
