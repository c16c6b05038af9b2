"""A fiduciary that is to be: a new identity and a full node for a ledger that exists, ready to be admitted by vote.

docs/runbooks/admit-a-fiduciary.md. The node follows the chain from its first block; it votes once it was admitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abci_app import limits, text
from dta.base.config import NODE_FILE
from dta.base.errors import UsageError
from dta.base.home import Home, write_file
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.identity.create import KeystorePlan, create_profile, request_json
from dta.client.identity.document import Description
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import Profile
from dta.hsm.sealed_file import DEFAULT_LOG2_N
from dta.node.founding.admission import ADMISSION_FILE, AdmissionCard
from dta.node.founding.fiduciary import NodePlan, check_plan, node_config, split_address, write_full_node
from dta.node.founding.rejoin import check_peers
from dta.node.validator_key import KeyFiles, possession

REQUEST_FILE = "request.json"


@dataclass(frozen=True, slots=True)
class Joined:
    """``request``: for a sponsor. ``card``: for whoever proposes it. ``node_id``: for the other operators."""

    profile: Profile
    node_id: str
    request: Path
    card: AdmissionCard
    card_file: Path


def join(
    home: Home, ring: Keyring, name: str, keystores: KeystorePlan, plan: NodePlan, genesis: GenesisFile,
    peers: Sequence[str], nodes: Sequence[str], now_s: int, *, reuse_keys: bool = False,
    scrypt_log2_n: int = DEFAULT_LOG2_N,
) -> Joined:  # fmt: skip
    """Makes the identity and the node's home. ``home`` has the genesis and the trust file already.

    ``peers``: ``id@host:port``; ``now_s``: Unix seconds, the document's time. Raises UsageError, KeystoreError.
    """
    if (home.path / NODE_FILE).exists():
        raise UsageError(f"there is a node in {home.path} already", hint="choose another --home")
    if not text.is_url(plan.gateway_url, limits.MAX_URL_CHARS):
        raise UsageError(f"not a gateway's URL: {plan.gateway_url!r}", hint="such as https://trust.example:8443")
    split_address(plan.p2p, "--p2p")
    check_peers(peers)
    check_plan(home, name, plan, keystores.node)
    said = Description(name, ("fiduciary",), (plan.gateway_url,))
    profile, block = create_profile(
        home, ring, name, keystores, said, gid=genesis.gid, time_s=now_s, reuse_keys=reuse_keys,
        scrypt_log2_n=scrypt_log2_n,
    )  # fmt: skip
    request = home.path / REQUEST_FILE
    write_file(request, request_json(profile, genesis.gid, block))
    config = node_config(home, genesis, profile, plan)
    _, node_id = write_full_node(home, config, genesis, profile, plan, peers, nodes)
    key = KeyFiles(config.comet_home).key
    card = AdmissionCard(genesis.gid, name, profile.identity, *possession(key, genesis.gid, profile.identity))
    write_file(home.path / ADMISSION_FILE, card.to_json())
    return Joined(profile, node_id, request, card, home.path / ADMISSION_FILE)
