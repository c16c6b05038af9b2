"""``dta init rejoin``: a fiduciary that lost its disk, but not its tokens, makes its node again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from abci_app.pb.dta.v1.identity_pb2 import IdentityRecord
from dta.base.errors import UsageError
from dta.base.home import read_file
from dta.cli import keystores, node_options
from dta.cli.option_groups import with_groups
from dta.cli.session import Session, session_of
from dta.client.genesis import genesis_file, trusting
from dta.client.identity.profile import Profile
from dta.node.founding import rejoin
from dta.node.founding.draft import Draft
from dta.node.founding.fiduciary import NodePlan, split_address


@with_groups
def init_rejoin(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="The identity's local name; token labels follow from it.")],
    genesis: Annotated[Path, typer.Option(help="The ledger's genesis.json.")],
    doors: node_options.Doors,
    ca: node_options.DoorsCa = None,
    p2p: node_options.P2p,
    peers: Annotated[Path | None, typer.Option(help="The draft of the genesis: it says where the peers are.")] = None,
    peer: node_options.Peer = None,
    gateway_bind: node_options.GatewayBind = "",
    p2p_bind: node_options.P2pBind = "",
    rpc_port: node_options.RpcPort = 26657,
    timeout_commit_ms: node_options.Pace = 1000,
    max_state_age_s: node_options.MaxStateAge = 60,
    blocks: node_options.BlockStore = "embedded",
    kubo_api: node_options.KuboApi = "",
    comet_binary: node_options.CometBinary = "cometbft",
    localnet: node_options.Localnet = False,
    common: keystores.CommonTokens,
    operator: keystores.Operator,
    following: keystores.Next,
    node: keystores.Node,
) -> None:
    """Make a fiduciary's lost node again, from its tokens and the ledger. Its consensus key is a new one.

    The node starts as a full node and fulfils; `dta validator rotate` then gives it the vote back.
    """
    session = session_of(context)
    stores = keystores.planned(name, session.home.keystores_dir, common, operator, following, node)
    found = genesis_file.read(read_file(genesis, "the genesis"))
    draft = draft_of(peers, found.gid)
    p2p_listens = node_options.p2p_bind(p2p_bind, p2p, localnet)
    trusted = read_file(ca, "the certificates") if ca is not None else None
    trusting.init_client(session.home, found, doors, int(time.time()), trusted)
    with session.keyring() as ring, session.ledger() as ledger, session.working("asking the ledger"):
        profile, record = rejoin.find_profile(ledger, ring, name, stores)
        plan = NodePlan(
            gateway_url="", p2p=p2p, rpc_port=rpc_port, private_network=localnet, blocks=blocks, kubo_api=kubo_api,
            gateway_bind=_gateway_bind(gateway_bind, record), p2p_bind=p2p_listens,
            timeout_commit_ms=timeout_commit_ms, comet_binary=comet_binary, max_state_age_s=max_state_age_s,
        )  # fmt: skip
        nodes = list(peer or [])
        if draft is not None:
            nodes += rejoin.peers_of(draft, profile.identity)
            plan = replace(plan, timeout_commit_ms=draft.founders[0].timeout_commit_ms)
        done = rejoin.rejoin(session.home, ledger, found, profile, record, plan, nodes, doors)
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
