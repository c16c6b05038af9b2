"""Consensus parameters: their defaults for a new chain, and what makes a set of them acceptable."""

from __future__ import annotations

from typing import Final

from abci_app import limits, text
from abci_app.crypto.curve import G1_BYTES
from abci_app.errors import GenesisRefused
from abci_app.pb.dta.v1 import params_pb2

PROTOCOL_VERSION: Final = 1
PROTOCOL_VERSIONS: Final = (PROTOCOL_VERSION,)
"""The versions whose rules this binary has. A new chain begins with the last one."""
SHARE_BYTES: Final = 32
MIN_BLOCK_COST: Final = 400_000
"""Room for the dearest result that there can be, whatever was begun under other parameters: a change strands nothing.
The greatest dispute costs 288,250, the greatest answer 300,300."""

LONGEST_PERMIT_AHEAD_S: Final = 172_800
"""No batch of permits is for a later day, whatever ``permit_ahead_s`` was when it was asked for."""

# name: (default, least, most)
_BOUNDS: Final[dict[str, tuple[int, int, int]]] = {
    "max_tx_bytes": (limits.MAX_TX_BYTES, 32_768, limits.MAX_TX_BYTES),
    "max_expiry_blocks": (1_000, 10, 100_000),
    "max_block_cost": (4_000_000, MIN_BLOCK_COST, 1_000_000_000),
    "max_txs_per_identity": (1_000, 1, 1_000_000),
    "max_registrations": (50, 1, 1_000),
    "max_upkeep_cost": (500_000, 1, 1_000_000_000),
    "max_envelope_bytes": (limits.MAX_ENVELOPE_BYTES, 65_536, limits.MAX_ENVELOPE_BYTES),
    "max_open_orders_per_identity": (100_000, 1, 100_000_000),
    "max_open_vaults_per_identity": (100, 1, 10_000),
    "max_open_requests_per_order": (8, 1, 16),
    "max_order_fiduciaries": (limits.MAX_ORDER_FIDUCIARIES, 1, limits.MAX_ORDER_FIDUCIARIES),
    "max_policy_bytes": (1_024, 64, 1_024),
    "request_ttl_s": (86_400, 10, 10_000_000),
    "close_vault_delay_s": (86_400, 0, 100_000_000),
    "close_vault_delay_blocks": (10, 1, 1_000_000),
    "min_veto_blocks": (3, 1, 100_000),
    "validator_change_window_blocks": (100, 2, 10_000),
    "proposal_ttl_s": (604_800, 10, 31_536_000),
    "max_open_proposals": (8, 1, 64),
    "max_fiduciaries": (limits.MAX_FIDUCIARIES, 1, limits.MAX_FIDUCIARIES),
    "max_open_ceremonies": (16, 1, 256),
    "max_authority_members": (limits.MAX_AUTHORITY_MEMBERS, 1, limits.MAX_AUTHORITY_MEMBERS),
    "ceremony_window_blocks": (100, 1, 10_000),
    "ceremony_consent_blocks": (50_000, 1, 10_000_000),
    "max_ceremony_attempts": (5, 1, 32),
    "max_open_extractions": (1_000, 1, 2_000),
    "max_waiting_requests_per_identity": (1_000, 1, 100_000),
    "max_veto_window_s": (31_536_000, 0, 3_153_600_000),
    "max_extraction_items": (limits.MAX_EXTRACTION_ITEMS, 1, limits.MAX_EXTRACTION_ITEMS),
    "max_realm_servers": (16, 1, limits.MAX_REALM_SERVERS),
    "permit_ahead_s": (21_600, 0, LONGEST_PERMIT_AHEAD_S),
}


def default_params() -> params_pb2.Params:
    """A new chain's parameters, where its genesis says nothing else."""
    params = params_pb2.Params(
        protocol_version=PROTOCOL_VERSION, registration=params_pb2.REGISTRATION_SPONSORED
    )
    for name, (default, _, _) in _BOUNDS.items():
        setattr(params, name, default)
    params.custodians.add(name="hsm-realm", contribution_bytes=SHARE_BYTES, verifier=params_pb2.VERIFIER_NONE)
    params.custodians.add(
        name="mpc-bls", contribution_bytes=G1_BYTES, verifier=params_pb2.VERIFIER_EXTRACTION
    )
    return params


def check_params(params: params_pb2.Params) -> None:
    """Raise :class:`GenesisRefused` naming the first parameter that is out of bounds."""
    if params.protocol_version not in PROTOCOL_VERSIONS:
        raise GenesisRefused("params.protocol_version", f"this binary has {', '.join(map(str, PROTOCOL_VERSIONS))}")
    if params.registration not in (params_pb2.REGISTRATION_OPEN, params_pb2.REGISTRATION_SPONSORED):
        raise GenesisRefused("params.registration", "must be open or sponsored")
    for name, (_, least, most) in _BOUNDS.items():
        if not least <= getattr(params, name) <= most:
            raise GenesisRefused(f"params.{name}", f"must be {least} to {most}")
    names = [custodian.name for custodian in params.custodians]
    if not 1 <= len(names) <= limits.MAX_CUSTODIANS or names != sorted(dict.fromkeys(names)):
        raise GenesisRefused("params.custodians", f"1 to {limits.MAX_CUSTODIANS}, sorted by name, each once")
    for custodian in params.custodians:
        if not text.is_label(custodian.name, limits.MAX_CUSTODIAN_CHARS):
            raise GenesisRefused("params.custodians", "a name has lower-case letters, digits and -._ only")
        if custodian.verifier not in (params_pb2.VERIFIER_NONE, params_pb2.VERIFIER_EXTRACTION):
            raise GenesisRefused("params.custodians", f"{custodian.name}: unknown verifier")
        if not 1 <= custodian.contribution_bytes <= 512:
            raise GenesisRefused("params.custodians", f"{custodian.name}: contribution_bytes must be 1 to 512")


def find_custodian(params: params_pb2.Params, name: str) -> params_pb2.Custodian | None:
    """The custodian of that name, or None."""
    for custodian in params.custodians:
        if custodian.name == name:
            return custodian
    return None
