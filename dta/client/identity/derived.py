"""The keys that are derived from an identity's root: BLS for envelopes, HPKE for receiving (docs/spec/identities.md).

The root is one PRF key that never leaves its keystore. The same root and number always give the same keys, so a
home that was lost is made again from the keystore. The number goes up only when somebody asks for new ones.
"""

from __future__ import annotations

from typing import Final

from abci_app.hashing import u32
from dta.crypto import bls, hpke
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.hpke import HpkePrivateKey
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.keystore import Keystore

BLS_PURPOSE: Final = "identity-bls"
HPKE_PURPOSE: Final = "identity-hpke"


def bls_key(root: Keystore, number: int) -> BlsPrivateKey:
    """The ``number``-th BLS key of this root. Raises KeyMissing where the keystore has no root."""
    return BlsPrivateKey.from_seed(derive(root, labels.root(), BLS_PURPOSE, u32(number), bls.SEED_BYTES))


def hpke_key(root: Keystore, number: int) -> HpkePrivateKey:
    """The ``number``-th HPKE key of this root. Raises KeyMissing where the keystore has no root."""
    return HpkePrivateKey.from_seed(derive(root, labels.root(), HPKE_PURPOSE, u32(number), hpke.SEED_BYTES))
