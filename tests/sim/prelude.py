"""The chain that every schedule starts from: genesis, identities, two vaults with their keys. Made once a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from abci_app import transition
from abci_app.block import Block, BlockResult, Changes, Genesis, Time
from abci_app.crypto import hpke
from abci_app.identities import concerns
from abci_app.params import MIN_BLOCK_COST, default_params
from abci_app.pb.dta.v1 import concern_pb2, extraction_pb2, params_pb2, tx_pb2
from abci_app.state.overlay import Overlay
from abci_app.state.records import FIDUCIARIES, SIGNING_POLICIES
from abci_app.state.records import chain as chain_record
from abci_app.state.view import StateView
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.sim import ceremonies
from tests.sim.realms import install_realm
from tests.support.actors import Actor, seeded
from tests.support.authority import CUSTODY, MFA, SIGNING, Dealt, context_over, deal, open_mfa
from tests.support.chain import GENESIS_TIME_S, Chain
from tests.support.custody import k_of

VARIANTS = 3
PRINCIPALS = ("alice", "dave")
BENEFICIARIES = ("bob", "carol")


def variant_params(variant: int) -> params_pb2.Params:
    """Short deadlines, so that things end within a schedule; variant 1 is tight, in variant 2 anybody registers."""
    params = default_params()
    params.request_ttl_s = 40
    params.close_vault_delay_s = 30
    params.close_vault_delay_blocks = 3
    params.max_expiry_blocks = 50
    params.ceremony_consent_blocks = 6
    params.proposal_ttl_s = 60
    params.validator_change_window_blocks = 4
    if variant == 1:
        params.max_upkeep_cost = 2_000
        params.max_open_requests_per_order = 2
        params.max_open_extractions = 3
        params.max_waiting_requests_per_identity = 4
        params.max_txs_per_identity = 3
        params.max_open_orders_per_identity = 4
        params.max_open_vaults_per_identity = 2
        params.max_registrations = 1
        params.max_authority_members = 5
        params.max_block_cost = MIN_BLOCK_COST
    if variant == 2:
        params.registration = params_pb2.REGISTRATION_OPEN
    return params


@dataclass(frozen=True)
class Prelude:
    """Where schedules start. ``entries``: a store's whole contents after the blocks."""

    genesis: Genesis
    gid: bytes
    fiduciaries: tuple[Actor, ...]
    people: tuple[Actor, ...]
    candidate: Actor
    blocks: tuple[Block, ...]
    entries: tuple[tuple[bytes, bytes], ...]
    app_hashes: tuple[bytes, ...]

    def store(self) -> MemoryStore:
        """A store of a node that is at the last of ``blocks``."""
        store = MemoryStore()
        store.write(list(self.entries), sync=True)
        return store


def finalize(
    genesis: Genesis, view: StateView, height: int, block: Block, *, dealt: bool = True
) -> tuple[BlockResult, Changes]:
    """What FinalizeBlock does. Genesis has no Commit: its changes go with the first block's.

    ``dealt``: with the keys that every simulated chain has from its first block on; a real one has none.
    """
    if height:
        result = transition.apply_block(view, block)
        return result, result.changes
    first = Overlay(view)
    first.apply(transition.init_chain(genesis))
    if dealt:
        deal_keys(first)
    result = transition.apply_block(first, block)
    first.apply(result.changes)
    return result, first.changes()


@cache
def keys_of(fiduciaries: tuple[bytes, ...]) -> dict[bytes, Dealt]:
    """Keys from a trusted dealer, one a purpose, by id: every chain here has them from its first block on."""
    dealt = [deal(fiduciaries, purpose, threshold=2) for purpose in (MFA, CUSTODY, SIGNING)]
    return {one.id: one for one in dealt}


def deal_keys(state: Overlay) -> None:
    """Write the keys, let the signing key sign what any fiduciary asks for, and ask the mfa key for a few things."""
    fiduciaries = tuple(record.id for record in FIDUCIARIES.all(state))
    for dealt in keys_of(fiduciaries).values():
        for key, value in dealt.leaves().items():
            state.put(key, value)
        if dealt.purpose == SIGNING:
            policy = extraction_pb2.SigningPolicy(authority=dealt.id, policy=k_of(1, *fiduciaries), raw_allowed=True)
            SIGNING_POLICIES.put(state, policy, dealt.id)
        if dealt.purpose == MFA:
            realm = install_realm(state, dealt, Actor(PRINCIPALS[0]))
            context = context_over(state, chain_record(state).gid, 1, GENESIS_TIME_S)
            role, registrar = concern_pb2.CONCERN_ROLE_REGISTRAR, realm.terms.registrar
            concerns.note(context, concern_pb2.CONCERN_KIND_REALM, realm.id, role, registrar)
            for use in (extraction_pb2.USE_CLIENT, extraction_pb2.USE_SERVER, extraction_pb2.USE_PERMIT):
                open_mfa(context, dealt, use, items=2, deadline_time_s=GENESIS_TIME_S + 100)


def replay_blocks(genesis: Genesis, blocks: Sequence[Block]) -> tuple[MemoryStore, list[bytes]]:
    """A new node that executes ``blocks`` from genesis: its store and the app hash after each."""
    store, app_hashes = MemoryStore(), []
    state = StateDB(store)
    for block in blocks:
        _, changes = finalize(genesis, state.view(), state.height, block)
        staged = state.stage(block.height, changes)
        state.commit(staged)
        app_hashes.append(staged.app_hash)
    return store, app_hashes


@cache
def prelude(variant: int) -> Prelude:
    """The start of ``variant``."""
    chain = Chain(4, variant_params(variant))
    people = tuple(Actor(name) for name in (*PRINCIPALS, *BENEFICIARIES))
    candidate = Actor("fiduciary-to-be", fiduciary=True)
    chain.register(*people, candidate)
    for principal in people[: len(PRINCIPALS)]:
        ids = [founder.identity for founder in chain.founders]
        message = tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=ids)
        vault = chain.run(principal, message).data
        for founder in chain.founders:
            assert chain.result(founder, tx_pb2.PublishVaultKey(vault=vault, key=vault_key(founder))).code == 0
    ceremonies.begin_some(chain)
    # A replayed first state instead of the chain's own, so that its tree is the one that nodes would have.
    store, app_hashes = replay_blocks(chain.genesis, chain.blocks)
    return Prelude(
        chain.genesis, chain.gid, tuple(chain.founders), people, candidate, tuple(chain.blocks),
        tuple(store.scan(b"")), tuple(app_hashes),
    )  # fmt: skip


@cache
def _key_of(name: str) -> tx_pb2.PublishVaultKey:
    seed = seeded("vault-key", name)
    return tx_pb2.PublishVaultKey(key=hpke.public_key_of(seed + seed, seed))


def vault_key(founder: Actor) -> tx_pb2.HpkeKey:
    """The key that ``founder`` publishes for every vault."""
    return _key_of(founder.name).key


def last_time(blocks: Sequence[Block]) -> Time:
    """The last block's time."""
    return blocks[-1].time
