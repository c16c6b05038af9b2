"""``dta init rejoin``: a fiduciary that lost its disk, but not its tokens, makes its node again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from abci_app.pb.dta.v1.identity_pb2 import IdentityRecord
from dta.cli import keystores
from dta.cli.keystores import Choice
from dta.cli.session import Session, session_of
from dta.errors import UsageError
from dta.founding import client, genesis_file, rejoin
from dta.founding.draft import Draft
from dta.founding.fiduciary import NodePlan, split_address
from dta.home import read_file
from dta.identity.create import KeystorePlan
from dta.identity.profile import Profile


def init_rejoin(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="The identity's local name; token labels follow from it.")],
    genesis: Annotated[Path, typer.Option(help="The ledger's genesis.json.")],
    rpc: Annotated[list[str], typer.Option(help="Another node's RPC address, such as http://127.0.0.1:26657.")],
    p2p: Annotated[str, typer.Option(help="host:port at which the other nodes reach this one.")],
    peers: Annotated[Path | None, typer.Option(help="The draft of the genesis: it says where the peers are.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="A peer, id@host:port; repeat it.")] = None,
    gateway_bind: Annotated[str, typer.Option(help="host:port the gateway listens on (every address).")] = "",
    p2p_bind: Annotated[str, typer.Option(help="host:port CometBFT listens on for peers (every address).")] = "",
    rpc_port: Annotated[int, typer.Option(help="CometBFT's RPC port, on 127.0.0.1.")] = 26657,
    timeout_commit_ms: Annotated[int, typer.Option(help="The pace of the chain, where no draft says it.")] = 1000,
    max_state_age_s: Annotated[int, typer.Option(help="Hooks act on nothing when the last block is older.")] = 60,
    blocks: Annotated[str, typer.Option(help="Block store: embedded or kubo.")] = "embedded",
    kubo_api: Annotated[str, typer.Option(help="Kubo's RPC address, where it is the block store.")] = "",
    comet_binary: Annotated[str, typer.Option(help="CometBFT's program.")] = "cometbft",
    localnet: Annotated[bool, typer.Option("--localnet", help="Peers may share a private address.")] = False,
    hsm: keystores.Hsm = "softhsm",
    module: keystores.Module = None,
    pin_file: keystores.PinFile = None,
    operator_keystore: keystores.OperatorKind = "",
    operator_module: keystores.OperatorModule = None,
    operator_token: keystores.OperatorToken = "",
    operator_pin_file: keystores.OperatorPin = None,
    next_keystore: keystores.NextKind = "",
    next_module: keystores.NextModule = None,
    next_token: keystores.NextToken = "",
    next_pin_file: keystores.NextPin = None,
    node_keystore: keystores.NodeKind = "",
    node_module: keystores.NodeModule = None,
    node_token: keystores.NodeToken = "",
    node_pin_file: keystores.NodePin = None,
) -> None:
    """Make a fiduciary's lost node again, from its tokens and the ledger. Its consensus key is a new one.

    The node starts as a full node and fulfils; `dta validator rotate` then gives it the vote back.
    """
    session = session_of(context)
    common, directory = Choice(hsm, module, "", pin_file), session.home.keystores_dir
    choices = {
        "operator": Choice(operator_keystore, operator_module, operator_token, operator_pin_file),
        "next": Choice(next_keystore, next_module, next_token, next_pin_file),
        "node": Choice(node_keystore, node_module, node_token, node_pin_file),
    }
    stores = KeystorePlan(*(choice.place(role, name, directory, common) for role, choice in choices.items()))
    found = genesis_file.read(read_file(genesis, "the genesis"))
    draft = draft_of(peers, found.gid)
    p2p_host, p2p_port = split_address(p2p, "--p2p")
    client.init_client(session.home, found, rpc, int(time.time()))
    with session.keyring() as ring, session.ledger() as ledger, session.working("asking the ledger"):
        profile, record = rejoin.find_profile(ledger, ring, name, stores)
        plan = NodePlan(
            gateway_url="", p2p=p2p, rpc_port=rpc_port, private_network=localnet, blocks=blocks, kubo_api=kubo_api,
            gateway_bind=_gateway_bind(gateway_bind, record),
            p2p_bind=p2p_bind or (f"{p2p_host}:{p2p_port}" if localnet else f"0.0.0.0:{p2p_port}"),
            timeout_commit_ms=timeout_commit_ms, comet_binary=comet_binary, max_state_age_s=max_state_age_s,
        )  # fmt: skip
        nodes = list(peer or [])
        if draft is not None:
            nodes += rejoin.peers_of(draft, profile.identity)
            plan = replace(plan, timeout_commit_ms=draft.founders[0].timeout_commit_ms)
        done = rejoin.rejoin(session.home, ledger, found, profile, record, plan, nodes, rpc)
    session.show(_shown(session, profile, done), [f"identity  {profile.identity.hex()}", f"node id   {done.node_id}"])
    session.talk(f"Next: `dta --home {session.home.path} start`; once it has caught up, `dta validator rotate`.")


def _gateway_bind(given: str, record: IdentityRecord) -> tuple[str, int]:
    """Where the gateway listens: as given, or as the identity's document says that it is reached."""
    return split_address(given, "--gateway-bind") if given else rejoin.own_gateway_bind(record)


def draft_of(path: Path | None, gid: bytes) -> Draft | None:
    """The founding's draft, where it is given: it must be of this genesis."""
    if path is None:
        return None
    draft = Draft.from_json(read_file(path, "a draft"), f"the draft {path}")
    if draft.gid != gid:
        raise UsageError("the genesis is not this draft's", hint="take both from the same founding")
    return draft


def _shown(session: Session, profile: Profile, done: rejoin.Rejoined) -> dict[str, Any]:
    return {
        "home": str(session.home.path), "identity": profile.identity.hex(), "node_id": done.node_id,
        "validator_key": done.validator_key.hex(), "generation": profile.generation,
    }  # fmt: skip
