"""The options with which a command is told how a node is reached, where it listens, and what it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dta.base import address
from dta.base.address import MAX_PORT
from dta.node.founding.fiduciary import gateway_bind_of, split_address

FiduciaryName: TypeAlias = Annotated[
    str, typer.Option(help="What the fiduciary is called: lower-case letters, digits and -._")
]
TrustedGenesis: TypeAlias = Annotated[Path, typer.Option(help="The ledger's genesis.json, from somebody you trust.")]
Doors: TypeAlias = Annotated[
    list[str], typer.Option("--node", help="A fiduciary's door, such as https://alpha.example:8443; repeat it.")
]
DoorsCa: TypeAlias = Annotated[
    Path | None, typer.Option(help="PEM file: who vouches for the doors' certificates, in place of the system.")
]
GatewayUrl: TypeAlias = Annotated[str, typer.Option(help="Its gateway, as everybody reaches it.")]
P2p: TypeAlias = Annotated[str, typer.Option(help="host:port at which the other nodes reach this one.")]
Peer: TypeAlias = Annotated[list[str] | None, typer.Option(help="A peer, id@host:port; repeat it.")]
GatewayBind: TypeAlias = Annotated[str, typer.Option(help="host:port the gateway listens on (every address).")]
P2pBind: TypeAlias = Annotated[str, typer.Option(help="host:port CometBFT listens on for peers (every address).")]
RpcPort: TypeAlias = Annotated[int, typer.Option(min=1, max=MAX_PORT, help="CometBFT's RPC port, on 127.0.0.1.")]
Pace: TypeAlias = Annotated[int, typer.Option(min=1, help="The pace of the chain, where no draft says it.")]
MaxStateAge: TypeAlias = Annotated[int, typer.Option(min=1, help="Hooks act on nothing when the last block is older.")]
BlockStore: TypeAlias = Annotated[str, typer.Option(help="Block store: embedded or kubo.")]
KuboApi: TypeAlias = Annotated[str, typer.Option(help="Kubo's RPC address, where it is the block store.")]
KuboBinary: TypeAlias = Annotated[str, typer.Option(help="Kubo's program: `dta start` runs one for this node.")]
KuboGateway: TypeAlias = Annotated[str, typer.Option(help="host:port on the loopback of that Kubo's own gateway.")]
CometBinary: TypeAlias = Annotated[str, typer.Option(help="CometBFT's program.")]
Localnet: TypeAlias = Annotated[bool, typer.Option("--localnet", help="Peers may share a private address.")]


WANTS_TLS = (
    "Its URL is https: name tls_certificate and tls_key in node.toml, [gateway], or your proxy in trusted_proxies."
)


def p2p_bind(given: str, p2p: str, localnet: bool) -> str:
    """Where CometBFT listens: as given, or for those who reach it at ``p2p``, which is checked in any case."""
    host, port = split_address(p2p, "--p2p")
    if given:
        split_address(given, "--p2p-bind")
    return given or address.join(host if localnet else "0.0.0.0", port)  # noqa: S104 - peers are anywhere


def gateway_bind(given: str, gateway_url: str) -> tuple[str, int]:
    """Where the gateway listens: as given, or for those who reach it at ``gateway_url``."""
    return split_address(given, "--gateway-bind") if given else gateway_bind_of(gateway_url)
