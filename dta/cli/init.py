"""``dta init``: make a home, a client's or a founding fiduciary's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dta.cli import join, keystores, rejoin
from dta.cli.keystores import Choice
from dta.cli.session import session_of
from dta.founding import client, fiduciary, genesis_file
from dta.founding.fiduciary import NodePlan, gateway_bind_of, split_address
from dta.home import read_file
from dta.identity.create import KeystorePlan
from dta.light.trust import TrustFile

app = typer.Typer(help="Make a home.", no_args_is_help=True)
app.command("join")(join.init_join)
app.command("rejoin")(rejoin.init_rejoin)


@app.command("client")
def init_client(
    context: typer.Context,
    genesis: Annotated[Path, typer.Option(help="The ledger's genesis.json, from somebody you trust.")],
    rpc: Annotated[list[str], typer.Option(help="A node's RPC address, such as http://127.0.0.1:26657; repeat it.")],
) -> None:
    """Make a home for a principal or a beneficiary: genesis, trust file, and which nodes to ask."""
    session = session_of(context)
    found = genesis_file.read(read_file(genesis, "the genesis"))
    trust = client.init_client(session.home, found, rpc, int(time.time()))
    session.show({"home": str(session.home.path), "rpc": rpc, **_trusted(trust)}, _trusted_lines(trust))
    session.talk("Compare genesis id and validators with what a fiduciary reads out to you, over another channel.")


def _trusted(trust: TrustFile) -> dict[str, object]:
    validators = [{"public_key": v.public_key.hex(), "power": v.power} for v in trust.validators.validators]
    return {"chain_id": trust.chain_id, "gid": trust.gid.hex(), "validators": validators}


def _trusted_lines(trust: TrustFile) -> list[str]:
    lines = [f"chain id    {trust.chain_id}", f"genesis id  {trust.gid.hex()}"]
    lines += [f"validator   {v.public_key.hex()}  power {v.power}" for v in trust.validators.validators]
    return lines


@app.command("fiduciary")
def init_fiduciary(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What the fiduciary is called: lower-case letters, digits and -._")],
    gateway_url: Annotated[str, typer.Option(help="Its gateway, as everybody reaches it.")],
    p2p: Annotated[str, typer.Option(help="host:port at which the other nodes reach this one.")],
    gateway_bind: Annotated[str, typer.Option(help="host:port the gateway listens on (every address).")] = "",
    p2p_bind: Annotated[str, typer.Option(help="host:port CometBFT listens on for peers (every address).")] = "",
    rpc_port: Annotated[int, typer.Option(help="CometBFT's RPC port, on 127.0.0.1.")] = 26657,
    power: Annotated[int, typer.Option(help="Voting power.")] = 10,
    timeout_commit_ms: Annotated[int, typer.Option(help="The pace of the chain; the same for all founders.")] = 1000,
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
    """Make a founding fiduciary's node: its keys, CometBFT's directory, and the founder.json to hand over."""
    session = session_of(context)
    common = Choice(hsm, module, "", pin_file)
    directory = session.home.keystores_dir
    operator = Choice(operator_keystore, operator_module, operator_token, operator_pin_file)
    following = Choice(next_keystore, next_module, next_token, next_pin_file)
    node = Choice(node_keystore, node_module, node_token, node_pin_file)
    p2p_host, p2p_port = split_address(p2p, "--p2p")
    plan = NodePlan(
        gateway_url=gateway_url,
        gateway_bind=split_address(gateway_bind, "--gateway-bind") if gateway_bind else gateway_bind_of(gateway_url),
        p2p=p2p, p2p_bind=p2p_bind or (f"{p2p_host}:{p2p_port}" if localnet else f"0.0.0.0:{p2p_port}"),
        rpc_port=rpc_port, power=power, timeout_commit_ms=timeout_commit_ms, private_network=localnet, blocks=blocks,
        kubo_api=kubo_api, kubo_binary=kubo_binary, kubo_gateway=kubo_gateway, comet_binary=comet_binary,
        max_state_age_s=max_state_age_s,
    )  # fmt: skip
    chosen = KeystorePlan(
        operator.place("operator", name, directory, common),
        following.place("next", name, directory, common),
        node.place("node", name, directory, common),
    )
    with session.keyring() as ring, session.working("making keys"):
        founder = fiduciary.init_fiduciary(session.home, ring, name, name, chosen, plan, reuse_keys=reuse_keys)
    card = session.home.founder_file
    data = {
        "home": str(session.home.path), "identity": founder.identity.hex(), "node_id": founder.node_id,
        "founder_file": str(card),
    }  # fmt: skip
    session.show(data, [f"identity  {founder.identity.hex()}", f"card      {card}"])
    session.talk("Hand the card to whoever drafts the genesis: `dta genesis draft`. Nothing in it is secret.")
