"""The bytes of a pairing's value, which keys are made from (docs/spec/mfa.md, The pairing's bytes).

The target group's only use here: comparisons of pairings are ``pairing_check``. arkworks alone can write an element,
but cannot raise it to a power: exponents go into the point of G1.
"""

from __future__ import annotations

from typing import Final

import py_arkworks_bls12381 as arkworks

from abci_app.crypto.curve import G1, G2
from dta.base.secret import SecretBytes

GT_BYTES: Final = 576


def pairing_bytes(p: G1, q: G2) -> SecretBytes:
    """e(p, q): twelve numbers below the field's prime, each 48 bytes little-endian: 576 bytes."""
    value = arkworks.GT.pairing(
        arkworks.G1Point.from_compressed_bytes_unchecked(p.encode()),
        arkworks.G2Point.from_compressed_bytes_unchecked(q.encode()),
    )
    # str is the binding's only way to write an element: the hex of its encoding (pinned by a vector and py-ecc).
    return SecretBytes(bytes.fromhex(str(value)))
