"""A fiduciary's home made again from its tokens and the ledger: what a lost disk takes is all there or made anew.

The tokens hold the keys, the ledger says whose they are, peers have the blocks. The consensus key is new: its vote
comes back by ``dta validator rotate`` (docs/runbooks/lose-a-disk.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import TX_KEY_OWNERS
from dta.base.config import NODE_FILE
from dta.base.errors import UsageError
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.client.custody.blocks import Blocks
from dta.client.custody.errors import BlockNotFound
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.identity import derived
from dta.client.identity.create import KeystorePlan
from dta.client.identity.keyring import Keyring, existing_key
from dta.client.identity.profile import ROLES, Profile, save_profile
from dta.client.ledger.ledger import Ledger
from dta.hsm import labels
from dta.hsm.keystore import Keystore
from dta.node.founding import fiduciary, publish
from dta.node.founding.draft import NODE_ID, Draft, is_place
from dta.node.founding.fiduciary import NodePlan, gateway_bind_of

# More rotations than anybody makes of one identity: where the search for a key's number ends.
_MAX_GENERATIONS = 256


@dataclass(frozen=True, slots=True)
class Rejoined:
    """``validator_key``: the new one (32 bytes), which does not vote yet. ``node_id``: tell the other operators."""

    profile: Profile
    validator_key: bytes
    node_id: str


def peers_of(draft: Draft, identity: bytes) -> list[str]:
    """The other founders' nodes as the draft of the genesis has them: ``id@host:port``."""
    return [f"{founder.node_id}@{founder.p2p}" for founder in draft.founders if founder.identity != identity]


def find_profile(
    ledger: Ledger, ring: Keyring, name: str, stores: KeystorePlan
) -> tuple[Profile, identity_pb2.IdentityRecord]:
    """Whose keys are in these keystores, and which of the identity's keys they are, by proved reads.

    The next key's keystore is opened only where the current key is not in the other. Raises UsageError, KeystoreError.
    """
    if stores.node is None:
        raise UsageError("a fiduciary needs the keystore of its node key")
    node = ring.keystore(stores.node)
    node_key = existing_key(node, labels.node_key())
    identity = ledger.prove(TX_KEY_OWNERS.key(node_key)).value
    if identity is None:
        raise UsageError(
            f"no identity on this ledger has the node key {node_key.hex()}",
            hint="is it the right token? was the fiduciary registered on this ledger?",
        )
    record = ledger.identity(identity)
    if record.node_key != node_key:
        raise UsageError(f"{identity.hex()} has another node key by now", hint="use the token that holds that one")
    number, current, following = _current_key(ring, record, stores)
    names = {role: spelled for spelled, role in ROLES.items()}
    profile = Profile(
        name, identity, tuple(names[role] for role in record.roles), number, _derived_number(node, record),
        record.founding, current, following, stores.node, stores.node,
    )  # fmt: skip
    return profile, record


def _current_key(
    ring: Keyring, record: identity_pb2.IdentityRecord, stores: KeystorePlan
) -> tuple[int, KeystoreConfig, KeystoreConfig]:
    """(generation, keystore of the current key, keystore of the next): a rotation swaps the two."""
    for current, following in ((stores.keys, stores.next_keys), (stores.next_keys, stores.keys)):
        store = ring.keystore(current)
        for number in range(_MAX_GENERATIONS):
            if store.signing_public_key(labels.operator_key(number)) == record.tx_key:
                return number, current, following
    raise UsageError(
        f"the current key of {record.id.hex()} is in none of these keystores", hint="give the token that holds it"
    )


def _derived_number(root: Keystore, record: identity_pb2.IdentityRecord) -> int:
    for number in range(_MAX_GENERATIONS):
        if derived.bls_key(root, number).public_key == record.bls_key:
            return number
    raise UsageError(
        f"the BLS key of {record.id.hex()} is derived from another root than this token's",
        hint="give the token that the fiduciary was made with",
    )


def rejoin(
    home: Home, ledger: Ledger, genesis: GenesisFile, profile: Profile, record: identity_pb2.IdentityRecord,
    plan: NodePlan, peers: Sequence[str], nodes: Sequence[str],
) -> Rejoined:  # fmt: skip
    """Makes the node's home again: a full node that fulfils, and whose new consensus key has no vote yet.

    ``home`` has the genesis and the trust file already (:func:`dta.client.genesis.trusting.init_client`). ``plan``'s
    gateway URL does not count, the ledger's does. ``peers``: ``id@host:port``. Raises UsageError; ``node.toml`` comes
    last.
    """
    if (home.path / NODE_FILE).exists():
        raise UsageError(f"there is a node in {home.path} already", hint="choose another --home")
    check_peers(peers)
    fiduciary.check_plan(home, profile.name, plan, profile.node)
    config = fiduciary.node_config(home, genesis, profile, plan)
    save_profile(home, profile, _document(home, ledger, genesis, record))
    validator_key, node_id = fiduciary.write_full_node(home, config, genesis, profile, plan, peers, nodes)
    return Rejoined(profile, validator_key, node_id)


def check_peers(peers: Sequence[str]) -> None:
    """Raise UsageError unless there are some, each ``id@host:port``."""
    wrong = [peer for peer in peers if not _is_peer(peer)]
    if wrong or not peers:
        raise UsageError(
            f"a peer is id@host:port, not {wrong[0]!r}" if wrong else "which nodes are the peers?",
            hint="give --peers with the draft of the genesis, or --peer for each",
        )


def _is_peer(text: str) -> bool:
    id_, _, place = text.partition("@")
    return NODE_ID.fullmatch(id_) is not None and is_place(place)


def own_gateway_bind(record: identity_pb2.IdentityRecord) -> tuple[str, int]:
    """Where the gateway listens that the ledger names first. Raises UsageError."""
    if not record.gateways:
        raise UsageError("the ledger has no gateway of this fiduciary", hint="give --gateway-bind")
    return gateway_bind_of(record.gateways[0])


def _document(home: Home, ledger: Ledger, genesis: GenesisFile, record: identity_pb2.IdentityRecord) -> bytes:
    """The current document's block: out of genesis, or from a gateway. Empty where nobody has it just now."""
    for read, founder in zip(genesis.documents(), genesis.state.fiduciaries, strict=True):
        if read.envelope.cid == record.document_cid:
            return bytes(founder.document)
    others = publish.fiduciaries(ledger, genesis)
    try:
        return Blocks(home.path / "envelopes", genesis.gid).fetch(record.document_cid, publish.gateways_of(others))
    except BlockNotFound:
        return b""
