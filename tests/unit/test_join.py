"""A fiduciary to be: its home, its identity, its card; and admission by them, with real keys and the real ledger."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from founding_harness import TIME_S, Consortium, LocalLedger, consortium, quiet, software

from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import FIDUCIARIES, PROPOSALS
from dta.base.config import load_node_config
from dta.base.errors import UsageError
from dta.base.home import Home
from dta.client.genesis import trusting
from dta.client.identity import lifecycle
from dta.client.identity.create import KeystorePlan, read_request
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.node import validator_key
from dta.node.founding.admission import AdmissionCard
from dta.node.founding.fiduciary import NodePlan, own_profile
from dta.node.founding.join import Joined, join
from dta.node.founding.rejoin import peers_of
from dta.node.validator_key import KeyFiles

DOOR = "https://node0.example:8443"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    return consortium(tmp_path_factory.mktemp("one"), 1)


def join_into(home: Home, one: Consortium, **changes: object) -> Joined:
    genesis = one.finish()
    fields: dict[str, object] = {
        "gateway_url": "http://127.0.0.1:8009", "gateway_bind": ("127.0.0.1", 8_009), "p2p": "new.example:26656",
        "p2p_bind": "0.0.0.0:26656",
    }  # fmt: skip
    peers = changes.pop("peers", peers_of(one.draft, b""))
    stores = KeystorePlan(software(home, "operator"), software(home, "next"), software(home, "node"))
    trusting.init_client(home, genesis, [DOOR], TIME_S)
    plan = NodePlan(**{**fields, **changes})  # type: ignore[arg-type]
    with quiet() as ring:
        return join(
            home, ring, "epsilon", stores, plan, genesis, peers, [DOOR], TIME_S, scrypt_log2_n=MIN_LOG2_N  # type: ignore[arg-type]
        )


def test_a_node_that_joins_has_all_that_it_needs_to_follow_the_chain(tmp_path: Path, one: Consortium) -> None:
    home = Home(tmp_path / "new")
    made = join_into(home, one)
    config = load_node_config(home.path)
    assert (config.identity, config.chain_id) == (made.profile.identity, one.draft.chain_id)
    comet = config.comet_home / "config"
    assert (comet / "genesis.json").read_bytes() == one.finish().content
    assert f"{one.cards[0].node_id}@node0.example:26656" in (comet / "config.toml").read_text()
    assert home.load_client().rpc_urls == (config.rpc_url,)
    assert home.load_client().nodes[0] == DOOR
    assert home.load_client().default_identity == "epsilon"
    files = KeyFiles(config.comet_home)
    assert validator_key.public_key(files.key) == made.card.validator_key
    assert files.sign_state.exists()


def test_by_its_request_and_its_card_it_is_registered_and_admitted(tmp_path: Path, one: Consortium) -> None:
    home, founder = Home(tmp_path / "new"), one.homes[0]
    made = join_into(home, one)
    genesis = one.finish()
    ledger = LocalLedger(genesis)
    identity, block, read = read_request(made.request, genesis.gid)
    assert (identity, read.document.name) == (made.profile.identity, "epsilon")
    card = AdmissionCard.from_json(made.card_file.read_bytes(), "the card", genesis.gid)
    action = pb.Action(admit_fiduciary=card.message(5))
    with quiet() as ring:
        sponsor = ring.signer(own_profile(founder, one.cards[0].identity))
        lifecycle.register(ledger, sponsor, identity, block, lambda _: None)  # type: ignore[arg-type]
        proposal = ledger.send(sponsor, pb.Propose(nonce=bytes(32), action=action)).data
    assert PROPOSALS.get(ledger.view, proposal).status == pb.PROPOSAL_STATUS_EXECUTED
    record = FIDUCIARIES.get(ledger.view, identity)
    assert record.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE
    assert (record.validator_key, record.power) == (made.card.validator_key, 5)


def test_a_second_card_for_another_key_leaves_the_nodes_own_in_place(tmp_path: Path, one: Consortium) -> None:
    made = join_into(Home(tmp_path / "new"), one)
    files = KeyFiles(load_node_config(tmp_path / "new").comet_home)
    following = validator_key.prepare_new(files)
    assert validator_key.prepare_new(files) == following  # not a third one
    gid, identity = one.finish().gid, made.profile.identity
    public, proof = validator_key.possession(following, gid, identity)
    assert public != made.card.validator_key == validator_key.public_key(files.key)
    card = AdmissionCard(gid, "epsilon", identity, public, proof)
    assert AdmissionCard.from_json(card.to_json(), "the card", gid) == card


def test_nothing_is_made_over_a_node_or_without_peers(tmp_path: Path, one: Consortium) -> None:
    home = Home(tmp_path / "new")
    for changes, said in (
        ({"peers": []}, "which nodes are the peers"), ({"peers": ["node0.example"]}, "id@host:port"),
        ({"gateway_url": "ftp://x"}, "gateway's URL"), ({"p2p": "nowhere"}, "--p2p"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            join_into(home, one, **changes)  # type: ignore[arg-type]
        assert not (home.path / "node.toml").exists()
    join_into(home, one)
    with pytest.raises(UsageError, match="a node in"):
        join_into(home, one)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gid", "00" * 32), ("identity", "00" * 32), ("validator_key", b64encode(bytes(32)).decode()),
        ("proof", b64encode(bytes(64)).decode()), ("proof", "?"), ("name", 7), ("format", "dta-founder-1"),
        ("more", 1),
    ],
)  # fmt: skip
def test_a_card_that_is_not_right_is_refused(tmp_path: Path, one: Consortium, field: str, value: object) -> None:
    made = join_into(Home(tmp_path / "new"), one)
    content = {**json.loads(made.card_file.read_text()), field: value}
    with pytest.raises(UsageError):
        AdmissionCard.from_json(json.dumps(content).encode(), "the card", one.finish().gid)
