"""Bounds that hold before anything is parsed, and fixed widths. Consensus: a change is a protocol version.

What governance may tune lives in ``params`` (hashed state); these are the ceilings that no parameter can lift.
"""

from __future__ import annotations

from typing import Final

ID_BYTES: Final = 32
NONCE_BYTES: Final = 32
SALT_BYTES: Final = 16
ED25519_KEY_BYTES: Final = 32
ED25519_SIGNATURE_BYTES: Final = 64
BLS_KEY_BYTES: Final = 48
BLS_SIGNATURE_BYTES: Final = 96
MLKEM768_KEY_BYTES: Final = 1184
MLKEM768_SEED_BYTES: Final = 64
X25519_KEY_BYTES: Final = 32
CID_CHARS: Final = 59

MAX_TX_BYTES: Final = 65_536
MAX_IDENTITY_ENVELOPE_BYTES: Final = 16_384
MAX_ENVELOPE_BYTES: Final = 1_048_576
MAX_VALUE_BYTES: Final = 4_096
MAX_BUNDLE_RESULTS: Final = 256
MAX_BUNDLE_BYTES: Final = 16_384
BUNDLE_COST_PART: Final = 8
MAX_CHAIN_ID_CHARS: Final = 50
MAX_NAME_CHARS: Final = 64
MAX_URL_CHARS: Final = 200
MAX_ENDPOINTS: Final = 4
MAX_ROLES: Final = 3
MAX_FIDUCIARIES: Final = 64
MAX_POWER: Final = 1_000_000
MAX_ACTION_BYTES: Final = 3_072
MAX_VAULT_FIDUCIARIES: Final = 32
MAX_ORDER_FIDUCIARIES: Final = 24
MAX_POLICY_NODES: Final = 48
MAX_POLICY_CHILDREN: Final = 32
MAX_VETOERS: Final = 16
MAX_GROUP_CHARS: Final = 32
MAX_NAMED_IDENTITIES: Final = 128
MAX_SEALED_ANSWER_BYTES: Final = 2_048
MAX_ORDER_ACTS: Final = 448
MAX_ANSWERED_EPOCHS: Final = 2
MAX_AUTHORITY_MEMBERS: Final = 64
MIN_REFRESH_INTERVAL_BLOCKS: Final = 20
MAX_REFRESH_INTERVAL_BLOCKS: Final = 100_000_000
MAX_CUSTODIANS: Final = 16
MAX_CUSTODIAN_CHARS: Final = 32
MAX_REALM_NAME_CHARS: Final = 32
MAX_REALM_SERVERS: Final = 64
MAX_REALM_ATTEMPTS: Final = 1_000
MAX_REALM_LOCKOUT_S: Final = 10_000_000
MAX_ONE_PASS_AGE_S: Final = 3_600
MAX_GENESIS_BYTES: Final = 16_777_216
MAX_EXTRACTION_ITEMS: Final = 100
MAX_SIGNED_MESSAGE_BYTES: Final = 2_048
MAX_SIGNING_KIND_CHARS: Final = 32

# Times and heights stay below 2**53, so that any JSON reader shows them right.
MAX_TIME_S: Final = 2**53 - 1
MAX_HEIGHT: Final = 2**53 - 1
