"""``dta init join``: a node and an identity for somebody whom the fiduciaries of an existing ledger are to admit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dta.cli import keystores
from dta.cli.keystores import Choice
from dta.cli.rejoin import draft_of
from dta.cli.session import Session, session_of
from dta.founding import client, genesis_file
from dta.founding.fiduciary import NodePlan, gateway_bind_of, split_address
from dta.founding.join import Joined, join
from dta.founding.rejoin import peers_of
from dta.home import read_file
from dta.identity.create import KeystorePlan


def init_join(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What the fiduciary is called: lower-case letters, digits and -._")],
    genesis: Annotated[Path, typer.Option(help="The ledger's genesis.json, from somebody you trust.")],
    rpc: Annotated[list[str], typer.Option(help="Another node's RPC address, such as http://127.0.0.1:26657.")],
    gateway_url: Annotated[str, typer.Option(help="Its gateway, as everybody reaches it.")],
    p2p: Annotated[str, typer.Option(help="host:port at which the other nodes reach this one.")],
    peers: Annotated[Path | None, typer.Option(help="The draft of the genesis: where the founders are.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="A peer, id@host:port; repeat it.")] = None,
    gateway_bind: Annotated[str, typer.Option(help="host:port the gateway listens on (every address).")] = "",
    p2p_bind: Annotated[str, typer.Option(help="host:port CometBFT listens on for peers (every address).")] = "",
    rpc_port: Annotated[int, typer.Option(help="CometBFT's RPC port, on 127.0.0.1.")] = 26657,
    timeout_commit_ms: Annotated[int, typer.Option(help="The pace of the chain, where no draft says it.")] = 1000,
    max_state_age_s: Annotated[int, typer.Option(help="Hooks act on nothing when the last block is older.")] = 60,
    blocks: Annotated[str, typer.Option(help="Block store: embedded or kubo.")] = "embedded",
    kubo_api: Annotated[str, typer.Option(help="Kubo's RPC address, where it is the block store.")] = "",
    kubo_binary: Annotated[str, typer.Option(help="Kubo's program: `dta start` runs one for this node.")] = "",
    kubo_gateway: Annotated[str, typer.Option(help="host:port on the loopback of that Kubo's own gateway.")] = "",
    comet_binary: Annotated[str, typer.Option(help="CometBFT's program.")] = "cometbft",
    localnet: Annotated[bool, typer.Option("--localnet", help="Peers may share a private address.")] = False,
    hsm: keystores.Hsm = "software",
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
    reuse_keys: keystores.ReuseKeys = False,
) -> None:
    """Make the node and the identity of a fiduciary to be, for a ledger that exists.

    It writes request.json for a sponsor, and admission.json for the fiduciary that proposes it. Every step is in
    docs/runbooks/admit-a-fiduciary.md.
    """
    session = session_of(context)
    common, directory = Choice(hsm, module, "", pin_file), session.home.keystores_dir
    operator = Choice(operator_keystore, operator_module, operator_token, operator_pin_file)
    following = Choice(next_keystore, next_module, next_token, next_pin_file)
    node = Choice(node_keystore, node_module, node_token, node_pin_file)
    choices = {"operator": operator, "next": following, "node": node}
    stores = KeystorePlan(*(choice.place(role, name, directory, common) for role, choice in choices.items()))
    found = genesis_file.read(read_file(genesis, "the genesis"))
    draft = draft_of(peers, found.gid)
    p2p_host, p2p_port = split_address(p2p, "--p2p")
    plan = NodePlan(
        gateway_url, split_address(gateway_bind, "--gateway-bind") if gateway_bind else gateway_bind_of(gateway_url),
        p2p, p2p_bind or (f"{p2p_host}:{p2p_port}" if localnet else f"0.0.0.0:{p2p_port}"), rpc_port,
        timeout_commit_ms=draft.founders[0].timeout_commit_ms if draft else timeout_commit_ms, blocks=blocks,
        private_network=localnet, kubo_api=kubo_api, kubo_binary=kubo_binary, kubo_gateway=kubo_gateway,
        comet_binary=comet_binary, max_state_age_s=max_state_age_s,
    )  # fmt: skip
    nodes = [*(peer or []), *(peers_of(draft, b"") if draft else [])]
    now_s = int(time.time())
    client.init_client(session.home, found, rpc, now_s)
    with session.keyring() as ring, session.working("making keys"):
        made = join(session.home, ring, name, stores, plan, found, nodes, rpc, now_s, reuse_keys=reuse_keys)
    _show(session, made)


def _show(session: Session, made: Joined) -> None:
    data = {
        "home": str(session.home.path), "identity": made.profile.identity.hex(), "node_id": made.node_id,
        "validator_key": made.card.validator_key.hex(), "request": str(made.request), "card": str(made.card_file),
    }  # fmt: skip
    shown = ("identity", "node id", "request", "card")
    values = (made.profile.identity.hex(), made.node_id, made.request, made.card_file)
    session.show(data, [f"{label:<8}  {value}" for label, value in zip(shown, values, strict=True)])
    session.talk(f"Next: a sponsor registers the request; `dta --home {session.home.path} start` follows the chain.")
