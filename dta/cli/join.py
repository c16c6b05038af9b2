"""``dta init join``: a node and an identity for somebody whom the fiduciaries of an existing ledger are to admit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dta.base.home import read_file
from dta.cli import keystores, node_options
from dta.cli.option_groups import with_groups
from dta.cli.rejoin import draft_of
from dta.cli.session import Session, session_of
from dta.client.genesis import genesis_file, trusting
from dta.node.founding.fiduciary import NodePlan
from dta.node.founding.join import Joined, join
from dta.node.founding.rejoin import peers_of


@with_groups
def init_join(
    context: typer.Context,
    *,
    name: node_options.FiduciaryName,
    genesis: node_options.TrustedGenesis,
    doors: node_options.Doors,
    ca: node_options.DoorsCa = None,
    gateway_url: node_options.GatewayUrl,
    p2p: node_options.P2p,
    peers: Annotated[Path | None, typer.Option(help="The draft of the genesis: where the founders are.")] = None,
    peer: node_options.Peer = None,
    gateway_bind: node_options.GatewayBind = "",
    p2p_bind: node_options.P2pBind = "",
    rpc_port: node_options.RpcPort = 26657,
    timeout_commit_ms: node_options.Pace = 1000,
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
    """Make the node and the identity of a fiduciary to be, for a ledger that exists.

    It writes request.json for a sponsor, and admission.json for the fiduciary that proposes it. Every step is in
    docs/runbooks/admit-a-fiduciary.md.
    """
    session = session_of(context)
    stores = keystores.planned(name, session.home.keystores_dir, common, operator, following, node)
    found = genesis_file.read(read_file(genesis, "the genesis"))
    draft = draft_of(peers, found.gid)
    p2p_listens = node_options.p2p_bind(p2p_bind, p2p, localnet)
    plan = NodePlan(
        gateway_url, node_options.gateway_bind(gateway_bind, gateway_url), p2p, p2p_listens, rpc_port,
        timeout_commit_ms=draft.founders[0].timeout_commit_ms if draft else timeout_commit_ms, blocks=blocks,
        private_network=localnet, kubo_api=kubo_api, kubo_binary=kubo_binary, kubo_gateway=kubo_gateway,
        comet_binary=comet_binary, max_state_age_s=max_state_age_s,
    )  # fmt: skip
    nodes = [*(peer or []), *(peers_of(draft, b"") if draft else [])]
    now_s = int(time.time())
    trusted = read_file(ca, "the certificates") if ca is not None else None
    trusting.init_client(session.home, found, doors, now_s, trusted)
    with session.keyring() as ring, session.working("making keys"):
        made = join(session.home, ring, name, stores, plan, found, nodes, doors, now_s, reuse_keys=reuse_keys)
    _show(session, made)
    if gateway_url.startswith("https://"):
        session.talk(node_options.WANTS_TLS)


def _show(session: Session, made: Joined) -> None:
    data = {
        "home": str(session.home.path), "identity": made.profile.identity.hex(), "node_id": made.node_id,
        "validator_key": made.card.validator_key.hex(), "request": str(made.request), "card": str(made.card_file),
    }  # fmt: skip
    shown = ("identity", "node id", "request", "card")
    values = (made.profile.identity.hex(), made.node_id, made.request, made.card_file)
    session.show(data, [f"{label:<8}  {value}" for label, value in zip(shown, values, strict=True)])
    session.talk(f"Next: a sponsor registers the request; `dta --home {session.home.path} start` follows the chain.")
