"""A fiduciary's own steps of founding: make its node's home, sign the draft, install the genesis."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from abci_app import limits, text
from abci_app.pb.dta.v1 import identity_pb2
from dta.base import address as addresses
from dta.base.config import (
    NODE_FILE,
    NodeConfig,
    check_node_config,
    load_node_config,
    read_toml,
    write_node_config,
)
from dta.base.errors import UsageError
from dta.base.home import ClientConfig, Home, make_directory, read_file, toml_string, write_file
from dta.base.keystore_config import KeystoreConfig
from dta.base.settings import CometFile, checked
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.genesis.trusting import trust_genesis
from dta.client.identity import document
from dta.client.identity.create import KeystorePlan, places_of, prepare
from dta.client.identity.document import Description
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import Profile, load_profile, save_profile
from dta.hsm.sealed_file import DEFAULT_LOG2_N
from dta.node import tendermint_config
from dta.node.founding.draft import Draft, Founder, Signed
from dta.node.tendermint_config import Settings

COMET_FILE = "comet.toml"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Where a fiduciary's node listens, and how the others reach it.

    ``gateway_url``: its gateway as everybody reaches it; ``p2p``: ``host:port`` as the other founders dial it.
    ``private_network``: peers may have private addresses and share one, as on a localnet. ``power``: its voting power.
    """

    gateway_url: str
    gateway_bind: tuple[str, int]
    p2p: str
    p2p_bind: str
    rpc_port: int = 26657
    power: int = 10
    timeout_commit_ms: int = 1_000
    private_network: bool = False
    blocks: str = "embedded"
    kubo_api: str = ""
    kubo_binary: str = ""
    kubo_gateway: str = ""
    comet_binary: str = "cometbft"
    max_state_age_s: int = 60


def split_address(address: str, what: str) -> tuple[str, int]:
    """``host:port``; ``[::1]:port`` gives the host without brackets. Raises UsageError."""
    try:
        return addresses.split(address)
    except ValueError as error:
        raise UsageError(f"{what} is host:port, not {address!r}", hint=str(error)) from None


def gateway_bind_of(url: str) -> tuple[str, int]:
    """Where a gateway listens that is reached at ``url`` with nothing in front of it: every address, its port."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UsageError(f"not a gateway's URL: {url!r}") from None
    return "0.0.0.0", port  # noqa: S104 - a gateway serves the public


def init_fiduciary(
    home: Home, ring: Keyring, name: str, display_name: str, keystores: KeystorePlan, plan: NodePlan, *,
    reuse_keys: bool = False, scrypt_log2_n: int = DEFAULT_LOG2_N,
) -> Founder:  # fmt: skip
    """Makes a founder's home: keys, profile, CometBFT's directory, ``node.toml`` and ``founder.json``.

    ``name``: of the profile; ``display_name``: of the document. Raises UsageError, KeystoreError; before the keys
    are made nothing was written.
    """
    if (home.path / NODE_FILE).exists():
        raise UsageError(f"there is a node in {home.path} already", hint="choose another --home")
    if not text.is_url(plan.gateway_url, limits.MAX_URL_CHARS):
        raise UsageError(f"not a gateway's URL: {plan.gateway_url!r}", hint="such as https://trust.example:8443")
    split_address(plan.p2p, "--p2p")
    config = check_plan(home, name, plan, keystores.node)
    make_directory(home.path)
    said = Description(display_name, ("fiduciary",), (plan.gateway_url,))
    profile, first = prepare(
        home, ring, name, keystores, said, gid=None, reuse_keys=reuse_keys, scrypt_log2_n=scrypt_log2_n
    )
    config = replace(config, identity=profile.identity)
    validator_key, node_id = new_comet_keys(config.comet_home)
    founder = Founder(first, validator_key, plan.power, node_id, plan.p2p, plan.timeout_commit_ms)
    Founder.from_json(founder.to_json(), "this founder's card")  # what others would refuse fails here
    save_profile(home, profile)
    write_file(home.path / COMET_FILE, comet_toml(name, plan).encode("utf-8"))
    write_file(home.founder_file, founder.to_json())
    write_node_config(config)
    return founder


def new_comet_keys(comet_home: Path) -> tuple[bytes, str]:
    """Makes CometBFT's keys and sign-state: (validator key, 32 bytes; node id). Raises UsageError."""
    config_dir, data_dir = make_directory(comet_home / "config"), make_directory(comet_home / "data")
    try:
        validator_key = tendermint_config.new_validator_key(config_dir / "priv_validator_key.json")
        tendermint_config.new_sign_state(data_dir / "priv_validator_state.json")
        return validator_key, tendermint_config.new_node_key(config_dir / "node_key.json")
    except FileExistsError as error:
        raise UsageError(
            f"there is a key at {error.filename} already, of an earlier attempt or another node",
            hint="a consensus key is never overwritten: look, and move the directory away if it was never used",
        ) from None


def comet_toml(name: str, plan: NodePlan) -> str:
    """``comet.toml``: what of CometBFT's configuration is this node's own."""
    return f"""# What of CometBFT's configuration is this node's own: `dta genesis install` writes the rest around it.
moniker = {toml_string(name)}
rpc_laddr = "tcp://127.0.0.1:{plan.rpc_port}"
p2p_laddr = {toml_string(f"tcp://{plan.p2p_bind}")}
external_address = {toml_string(plan.p2p)}
private_network = {"true" if plan.private_network else "false"}
# Where an external signer connects that has the consensus key instead of a file: docs/howto/remote-signer.md.
priv_validator_laddr = ""
"""


def check_plan(home: Home, name: str, plan: NodePlan, keystore: KeystoreConfig | None) -> NodeConfig:
    """Before a key is made: a configuration that could be read again, and sockets that have paths. Raises UsageError.

    It is ``node.toml`` as it will be, but for identity and chain.
    """
    if keystore is None:
        raise UsageError("a fiduciary needs a keystore for its node key")
    config = _config(home, plan, chain_id="", identity=bytes(limits.ID_BYTES), keystore=keystore)
    check_node_config(config)
    checked(CometFile, tomllib.loads(comet_toml(name, plan)), home.path / COMET_FILE)
    return config


def sign_draft(home: Home, ring: Keyring, draft: Draft) -> Signed:
    """This home's founder signs the draft, after checking that its own card stands in it unchanged.

    Raises UsageError, KeystoreError.
    """
    mine = own_card(home)
    if draft.founder(mine.identity) != mine:
        raise UsageError(
            "the draft has another card of this founder than this home", hint=f"hand over {home.founder_file} again"
        )
    profile = own_profile(home, mine.identity)
    gid = draft.gid
    # The draft's time, not the clock's: signing the same draft again gives the same bytes.
    block = document.seal(ring, places_of(profile), mine.document, gid, draft.time_s)
    return Signed(gid, mine.identity, block)


def own_card(home: Home) -> Founder:
    """The card of this home's founder. Raises UsageError."""
    return Founder.from_json(read_file(home.founder_file, "this founder's card"), str(home.founder_file))


def own_profile(home: Home, identity: bytes) -> Profile:
    """The profile of ``identity`` in this home. Raises UsageError."""
    for name in home.profile_names():
        profile = load_profile(home, name)
        if profile.identity == identity:
            return profile
    raise UsageError(f"this home has no profile of {identity.hex()}")


def install(home: Home, genesis: GenesisFile, draft: Draft, now_s: int) -> None:
    """Puts the genesis where this founder's node finds it, and writes what follows from it. Repeating it is harmless.

    Writes CometBFT's ``genesis.json`` and ``config.toml`` (with the other founders as peers), ``trust.json``,
    ``client.toml``, and the chain's id into ``node.toml``. ``now_s``: Unix seconds. Raises UsageError.
    """
    mine = own_card(home)
    if draft.gid != genesis.gid:
        raise UsageError("the genesis is not this draft's", hint="take both from the same founding")
    if draft.founder(mine.identity) != mine:
        raise UsageError("the draft has another card of this founder than this home")
    if home.genesis_file.exists() and read_file(home.genesis_file, "the genesis") != genesis.content:
        raise UsageError(f"{home.path} is on another ledger already", hint="choose another --home")
    profile = own_profile(home, mine.identity)
    config = load_node_config(home.path)
    comet = config.comet_home / "config"
    others = [founder for founder in draft.founders if founder.identity != mine.identity]
    peers = ",".join(f"{founder.node_id}@{founder.p2p}" for founder in others)
    write_file(comet / "config.toml", comet_config(home, config, peers, mine.timeout_commit_ms).encode("utf-8"))
    write_file(comet / "genesis.json", genesis.content)
    blocks = {read.document.tx_key: fiduciary.document for read, fiduciary in zip(
        genesis.documents(), genesis.state.fiduciaries, strict=True)}  # fmt: skip
    save_profile(home, profile, blocks[mine.document.tx_key])
    write_node_config(replace(config, chain_id=genesis.genesis.chain_id))
    trust_genesis(home, genesis, now_s)
    doors = doors_of(genesis, first=mine.document.endpoints)
    home.save_client(ClientConfig(genesis.genesis.chain_id, genesis.gid, (config.rpc_url,), profile.name, doors))


def doors_of(genesis: GenesisFile, first: Iterable[identity_pb2.Endpoint] = ()) -> tuple[str, ...]:
    """The founders' doors, each once: whom a fiduciary's home asks where its own node does not answer, and searches."""
    endpoints = [*first, *(one for read in genesis.documents() for one in read.document.endpoints)]
    return tuple(dict.fromkeys(one.url for one in endpoints))


def node_config(home: Home, genesis: GenesisFile, profile: Profile, plan: NodePlan) -> NodeConfig:
    """``node.toml`` of a node for a ledger that exists."""
    assert profile.node is not None
    return _config(
        home, plan, chain_id=genesis.genesis.chain_id, identity=profile.identity, keystore=profile.node
    )


def _config(home: Home, plan: NodePlan, *, chain_id: str, identity: bytes, keystore: KeystoreConfig) -> NodeConfig:
    return NodeConfig(
        home=home.path, chain_id=chain_id, identity=identity, keystore=keystore,
        rpc_url=f"http://127.0.0.1:{plan.rpc_port}", gateway_bind=plan.gateway_bind, blocks=plan.blocks,
        kubo_api=plan.kubo_api, kubo_binary=plan.kubo_binary, kubo_gateway=plan.kubo_gateway,
        comet_binary=plan.comet_binary, max_state_age_s=plan.max_state_age_s,
    )  # fmt: skip


def write_full_node(
    home: Home, config: NodeConfig, genesis: GenesisFile, profile: Profile, plan: NodePlan, peers: Sequence[str],
    nodes: Sequence[str],
) -> tuple[bytes, str]:  # fmt: skip
    """A node that follows an existing ledger from its genesis: (its new consensus key, which has no vote; node id).

    ``peers``: ``id@host:port``. ``nodes``: doors to ask while this one is not up. ``node.toml`` comes last.
    Raises UsageError.
    """
    validator_key, node_id = new_comet_keys(config.comet_home)
    write_file(home.path / COMET_FILE, comet_toml(profile.name, plan).encode("utf-8"))
    comet = config.comet_home / "config"
    settings = comet_config(home, config, ",".join(peers), plan.timeout_commit_ms)
    write_file(comet / "config.toml", settings.encode("utf-8"))
    write_file(comet / "genesis.json", genesis.content)
    doors = tuple(dict.fromkeys((*nodes, *doors_of(genesis))))
    ca_file = home.load_client().ca_file if home.client_file.exists() else None
    home.save_client(
        ClientConfig(genesis.genesis.chain_id, genesis.gid, (config.rpc_url,), profile.name, doors, ca_file)
    )
    write_node_config(config)
    return validator_key, node_id


def comet_config(home: Home, config: NodeConfig, peers: str, timeout_commit_ms: int) -> str:
    """CometBFT's ``config.toml`` around ``comet.toml``. ``peers``: ``id@host:port,...``. Raises UsageError."""
    path = home.path / COMET_FILE
    file = checked(CometFile, read_toml(path), path)
    settings = Settings(
        moniker=file.moniker, proxy_app=f"unix://{config.abci_socket}", rpc_laddr=file.rpc_laddr,
        p2p_laddr=file.p2p_laddr, external_address=file.external_address, persistent_peers=peers,
        priv_validator_laddr=file.priv_validator_laddr, addr_book_strict=not file.private_network,
        allow_duplicate_ip=file.private_network, timeout_commit_ms=timeout_commit_ms,
    )  # fmt: skip
    try:
        return tendermint_config.render(tendermint_config.load_template(), settings.values())
    except tendermint_config.TemplateError as error:
        raise UsageError(f"{path}: {error}") from None
