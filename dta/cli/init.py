"""``dta init``: make a home, a client's or a founding fiduciary's."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dta.base.home import read_file
from dta.cli import keystores, node_options
from dta.cli.anchor import anchor
from dta.cli.option_groups import with_groups
from dta.cli.session import session_of
from dta.client.genesis import genesis_file, trusting
from dta.node.founding import fiduciary
from dta.node.founding.fiduciary import NodePlan


def init_client(
    context: typer.Context,
    genesis: node_options.TrustedGenesis,
    doors: node_options.Doors,
    ca: node_options.DoorsCa = None,
) -> None:
    """Make a home for a principal or a beneficiary: genesis, trust file, and which nodes to ask."""
    session = session_of(context)
    found = genesis_file.read(read_file(genesis, "the genesis"))
    trusted = read_file(ca, "the certificates") if ca is not None else None
    trusting.init_client(session.home, found, doors, int(time.time()), trusted)
    data, lines = anchor(found)
    session.show({"home": str(session.home.path), "nodes": doors, **data}, lines)
    session.talk("Compare genesis id and validators with what a fiduciary reads out to you, over another channel.")


@with_groups
def init_fiduciary(
    context: typer.Context,
    *,
    name: node_options.FiduciaryName,
    gateway_url: node_options.GatewayUrl,
    p2p: node_options.P2p,
    gateway_bind: node_options.GatewayBind = "",
    p2p_bind: node_options.P2pBind = "",
    rpc_port: node_options.RpcPort = 26657,
    power: Annotated[int, typer.Option(min=1, help="Voting power.")] = 10,
    timeout_commit_ms: Annotated[int, typer.Option(min=1, help="The chain's pace, the same for all founders.")] = 1000,
    max_state_age_s: node_options.MaxStateAge = 60,
    blocks: node_options.BlockStore = "embedded",
    kubo_api: node_options.KuboApi = "",
    kubo_binary: node_options.KuboBinary = "",
    kubo_gateway: node_options.KuboGateway = "",
    comet_binary: node_options.CometBinary = "cometbft",
    localnet: node_options.Localnet = False,
    common: keystores.Common,
    operator: keystores.Operator,
    following: keystores.Next,
    node: keystores.Node,
    reuse_keys: keystores.ReuseKeys = False,
) -> None:
    """Make a founding fiduciary's node: its keys, CometBFT's directory, and the founder.json to hand over."""
    session = session_of(context)
    p2p_listens = node_options.p2p_bind(p2p_bind, p2p, localnet)
    plan = NodePlan(
        gateway_url=gateway_url, gateway_bind=node_options.gateway_bind(gateway_bind, gateway_url),
        p2p=p2p, p2p_bind=p2p_listens,
        rpc_port=rpc_port, power=power, timeout_commit_ms=timeout_commit_ms, private_network=localnet, blocks=blocks,
        kubo_api=kubo_api, kubo_binary=kubo_binary, kubo_gateway=kubo_gateway, comet_binary=comet_binary,
        max_state_age_s=max_state_age_s,
    )  # fmt: skip
    stores = keystores.planned(name, session.home.keystores_dir, common, operator, following, node)
    with session.keyring() as ring, session.working("making keys"):
        founder = fiduciary.init_fiduciary(session.home, ring, name, name, stores, plan, reuse_keys=reuse_keys)
    card = session.home.founder_file
    data = {
        "home": str(session.home.path), "identity": founder.identity.hex(), "node_id": founder.node_id,
        "founder_file": str(card),
    }  # fmt: skip
    session.show(data, [f"identity  {founder.identity.hex()}", f"card      {card}"])
    if gateway_url.startswith("https://"):
        session.talk(node_options.WANTS_TLS)
    session.talk("Hand the card to whoever drafts the genesis: `dta genesis draft`. Nothing in it is secret.")
