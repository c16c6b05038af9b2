"""Founding a consortium: what founders exchange, what each of them checks, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app import canonical
from abci_app.pb.dta.v1 import envelope_pb2
from dta.base.config import load_node_config
from dta.base.errors import UsageError
from dta.base.home import Home
from dta.client.genesis import genesis_file, trusting
from dta.client.identity.profile import load_document_block, load_profile
from dta.light.trust import TrustFile
from dta.node.founding import draft as drafts
from dta.node.founding.draft import Draft, Founder, Signed
from dta.node.founding.fiduciary import install
from tests.unit.founding_harness import CHAIN_ID, TIME_S, Consortium, consortium, make_founder, sign


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    return consortium(tmp_path_factory.mktemp("four"), 4, "registration=open")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    return consortium(tmp_path_factory.mktemp("one"), 1)


def test_four_founders_get_a_genesis_that_the_application_accepts(four: Consortium) -> None:
    genesis = four.finish()
    assert genesis.gid == four.draft.gid
    assert [len(genesis.genesis.validators), len(genesis.state.fiduciaries)] == [4, 4]


def test_one_founder_can_found_alone(one: Consortium) -> None:
    assert one.finish().gid == one.draft.gid


def test_anybody_who_finishes_gets_the_same_file(four: Consortium) -> None:
    other = drafts.finish(Draft.from_json(four.draft.to_json(), "d"), list(reversed(four.signed)))
    assert other.content == four.finish().content


def test_the_order_of_the_cards_does_not_matter(four: Consortium) -> None:
    again = drafts.make_draft(CHAIN_ID, TIME_S, four.draft.params, list(reversed(four.cards)))
    assert again.gid == four.draft.gid


def test_everything_that_founders_agree_on_changes_the_genesis_id(four: Consortium) -> None:
    gid = four.draft.gid
    heavier = replace(four.cards[0], power=11)
    for other in (
        replace(four.draft, chain_id="another"),
        replace(four.draft, time_s=TIME_S + 1),
        replace(four.draft, params=drafts.params_with(["registration=sponsored"])),
        replace(four.draft, founders=four.draft.founders[1:]),
        drafts.make_draft(CHAIN_ID, TIME_S, four.draft.params, [heavier, *four.cards[1:]]),
    ):
        assert other.gid != gid


def test_signing_the_same_draft_again_gives_the_same_bytes(one: Consortium) -> None:
    assert sign(one.homes[0], one.draft) == one.signed[0]


def test_a_founder_does_not_sign_a_draft_that_changed_its_card(four: Consortium) -> None:
    mine = four.cards[0]
    others = [card for card in four.cards if card != mine]
    changed = drafts.make_draft(CHAIN_ID, TIME_S, four.draft.params, [replace(mine, power=1), *others])
    with pytest.raises(UsageError, match="another card"):
        sign(four.homes[0], changed)


def test_a_stranger_to_the_draft_does_not_sign_it(four: Consortium, one: Consortium) -> None:
    with pytest.raises(UsageError, match="no founder of this draft"):
        sign(one.homes[0], four.draft)


def _tampered(signed: Signed, *, body: bool) -> Signed:
    envelope = envelope_pb2.Envelope.FromString(signed.block)
    if body:
        envelope.body = envelope.body[:-1] + bytes([envelope.body[-1] ^ 1])
    else:
        envelope.signature = envelope.signature[:-1] + bytes([envelope.signature[-1] ^ 1])
    return replace(signed, block=canonical.encode(envelope))


@pytest.mark.parametrize("body", [True, False])
def test_a_tampered_signature_is_refused_and_names_its_founder(four: Consortium, body: bool) -> None:
    bad = _tampered(four.signed[2], body=body)
    name = four.draft.founder(bad.identity).document.name
    with pytest.raises(UsageError, match=name):
        drafts.finish(four.draft, [*four.signed[:2], bad, four.signed[3]])


def test_a_document_under_another_founders_name_is_refused(four: Consortium) -> None:
    swapped = replace(four.signed[0], block=four.signed[1].block)
    with pytest.raises(UsageError, match="another document"):
        drafts.finish(four.draft, [swapped, *four.signed[1:]])


def test_a_signature_on_another_draft_is_refused(four: Consortium) -> None:
    other = sign(four.homes[0], replace(four.draft, time_s=TIME_S + 1))
    with pytest.raises(UsageError, match="signed another draft"):
        drafts.finish(four.draft, [other, *four.signed[1:]])
    # Nor does it help to claim that it was this one: the proofs are made under the other gid.
    with pytest.raises(UsageError, match="not right"):
        drafts.finish(four.draft, [replace(other, gid=four.draft.gid), *four.signed[1:]])


def test_who_has_not_signed_is_named(four: Consortium) -> None:
    with pytest.raises(UsageError, match=r"not signed yet by: fiduciary-\d$"):
        drafts.finish(four.draft, four.signed[:3])


def test_two_cards_of_one_founder_are_refused(four: Consortium) -> None:
    with pytest.raises(UsageError, match="same identity"):
        drafts.make_draft(CHAIN_ID, TIME_S, four.draft.params, [four.cards[0], four.cards[0]])


def test_two_founders_can_not_share_a_validator_key(four: Consortium) -> None:
    twin = replace(four.cards[1], validator_key=four.cards[0].validator_key)
    with pytest.raises(UsageError, match="same validator_key"):
        drafts.make_draft(CHAIN_ID, TIME_S, four.draft.params, [four.cards[0], twin])


def test_founders_who_disagree_on_the_pace_are_told(four: Consortium) -> None:
    hasty = replace(four.cards[1], timeout_commit_ms=1)
    with pytest.raises(UsageError, match="timeout_commit_ms"):
        drafts.make_draft(CHAIN_ID, TIME_S, four.draft.params, [four.cards[0], hasty])


@pytest.mark.parametrize(
    "setting", ["nonsense=1", "registration=maybe", "max_upkeep_cost", "max_upkeep_cost=-1", "custodians=1"]
)
def test_a_parameter_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(UsageError):
        drafts.params_with([setting])


def test_a_parameter_out_of_bounds_is_refused(four: Consortium) -> None:
    with pytest.raises(UsageError, match="max_upkeep_cost"):
        drafts.make_draft(CHAIN_ID, TIME_S, drafts.params_with(["max_upkeep_cost=0"]), four.cards)


@pytest.mark.parametrize(
    ("field", "value"),
    [("power", 0), ("power", True), ("p2p", "nowhere"), ("p2p", "a.example:99999"), ("p2p", "::1:26656"),
     ("p2p", "a,b:1"), ("node_id", "ab"), ("validator_key", "AAAA"), ("extra", 1),
     ("name", "somebody else"), ("identity", "00" * 32), ("document", "!!")],
)  # fmt: skip
def test_a_malformed_card_is_refused(four: Consortium, field: str, value: object) -> None:
    card = json.loads(four.cards[0].to_json())
    card[field] = value
    with pytest.raises(UsageError):
        Founder.from_json(json.dumps(card).encode(), "the card")


def test_installing_makes_the_node_and_the_client_ready(four: Consortium) -> None:
    genesis = four.finish()
    for home, card in zip(four.homes, four.cards, strict=True):
        install(home, genesis, four.draft, TIME_S)
        comet = load_node_config(home.path).comet_home / "config"
        assert (comet / "genesis.json").read_bytes() == genesis.content
        text = (comet / "config.toml").read_text()
        others = [other for other in four.cards if other is not card]
        assert all(f"{other.node_id}@{other.p2p}" in text for other in others)
        assert card.node_id not in text
        assert load_node_config(home.path).chain_id == CHAIN_ID
        assert home.load_client().gid == genesis.gid
        trust = TrustFile.load(home.trust_file)
        assert (trust.gid, trust.height, len(trust.validators.validators)) == (genesis.gid, 0, 4)
        profile = load_profile(home, home.profile_names()[0])
        assert profile.identity == card.identity
        assert load_document_block(home, profile.name) in [entry.document for entry in genesis.state.fiduciaries]
        assert home.path.stat().st_mode & 0o777 == 0o700
        assert not any(path.stat().st_mode & 0o077 for path in home.identities_dir.rglob("*"))


def test_installing_again_is_harmless(one: Consortium) -> None:
    genesis = one.finish()
    install(one.homes[0], genesis, one.draft, TIME_S)
    install(one.homes[0], genesis, one.draft, TIME_S)


def test_a_home_takes_one_ledger_only(four: Consortium, one: Consortium, tmp_path: Path) -> None:
    home = Home(tmp_path / "client")
    trusting.init_client(home, one.finish(), ["http://127.0.0.1:26657"], TIME_S)
    with pytest.raises(UsageError, match="another ledger"):
        trusting.init_client(home, four.finish(), ["http://127.0.0.1:26657"], TIME_S)


def test_a_genesis_of_another_draft_is_not_installed(four: Consortium, one: Consortium) -> None:
    with pytest.raises(UsageError, match="not this draft's"):
        install(one.homes[0], four.finish(), one.draft, TIME_S)


def test_an_edited_genesis_is_refused(one: Consortium) -> None:
    value = json.loads(one.finish().content)
    edits = [
        ("chain_id", "another"),
        ("genesis_time", "2026-01-01T00:00:00Z"),
        ("app_hash", "00"),
        ("consensus_params", {**value["consensus_params"], "block": {"max_bytes": "1", "max_gas": "-1"}}),
        ("app_state", {**value["app_state"], "params": {**value["app_state"]["params"], "maxUpkeepCost": 7}}),
        ("initial_height", "2"),
    ]
    for field, changed in edits:
        with pytest.raises(UsageError):
            genesis_file.read(json.dumps({**value, field: changed}).encode())
    assert genesis_file.read(json.dumps(value).encode()).gid == one.draft.gid


def test_a_node_is_never_made_over_another(one: Consortium) -> None:
    with pytest.raises(UsageError, match="already"):
        make_founder(one.homes[0], 0)
